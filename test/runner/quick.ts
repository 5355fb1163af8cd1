/**
 * The test files of `./everboot test quick`, besides the checks, as folders and files of test/. Together with the
 * checks they take at most three minutes on two quiet cores.
 */
export const quick: readonly string[] = [
  'client/',
  'domain/',
  'workers/',
  'cli/demo-guest-report.test.ts',
  'cli/demo-folder.test.ts',
  'cli/demo-glance-image.test.ts',
  'cli/demo-guest-image.test.ts',
  'cli/exit-codes.test.ts',
  'cli/find-temporal.test.ts',
  'cli/progress-view.test.ts',
  'cli/read-changes.test.ts',
  'cli/read-spec.test.ts',
  'cli/units.test.ts',
  'cli/waiting-text.test.ts',
  'setup/run-figures.test.ts',
  'setup/run-schedule.test.ts',
  'setup/run-selection.test.ts',
  'setup/run-titles.test.ts',
  'setup/sampled.test.ts',
  'workflows/details-table.test.ts',
  'workflows/disks-by-mappings.test.ts',
  'workflows/parking.test.ts',
  'workflows/replay.test.ts',
  'workflows/seen-in-temporal.test.ts',
  'boot/demo.test.ts',
];
