import type { OperationView } from '../client/progress/read-progress.ts';
import type { InstanceView } from '../client/progress/show-instance.ts';
import type { InstanceResult } from '../domain/operations.ts';
import { sizeText } from '../domain/sizes.ts';
import { stepLines } from './progress-view.ts';
import { nameTable, textTable } from './text-table.ts';
import { durationText, timeText } from './units.ts';
import { awayText, parkedCause, sinceText, waysOn } from './waiting-text.ts';

const states = {
  running: 'is running',
  defined: 'is defined and not started',
  disks: 'has its disks',
} as const satisfies Record<InstanceResult['state'], string>;

/** The result of a boot, for people. */
export function resultText(result: InstanceResult): string {
  const { instanceId, name, host, state, directory, domain } = result;
  const lines = [`${name} ${states[state]} on ${host}`, ...nameTable({ id: instanceId, directory, domain })];
  return [...lines, ...diskLines(result)].join('\n');
}

function diskLines({ disks }: InstanceResult): string[] {
  const rows = disks.map(({ name, format, virtualSizeBytes, path, backingFile }) => [
    ...[name, format, sizeText(virtualSizeBytes), path],
    backingFile === undefined ? '' : `on ${backingFile}`,
  ]);
  return rows.length === 0 ? [] : ['', ...textTable([['DISK', 'FORMAT', 'SIZE', 'FILE', ''], ...rows], '  ')];
}

/** Why it waits for an operator only its workflow knows, and there may be no worker to answer for it. */
function parkedText({ phase, parked }: InstanceView, now: number): string | undefined {
  if (parked !== undefined) return `${parkedCause(parked)}, ${sinceText(parked, now)}`;
  return phase === 'NeedsOperator' ? 'no worker says why' : undefined;
}

/** Everything that is known of an instance, for people. */
export function instanceText(view: InstanceView): string {
  const { instanceId, name, host, phase, operation, startedAt, endedAt, steps, result, error, parked } = view;
  const now = Date.now();
  const took = endedAt === undefined ? '' : `, took ${durationText(Date.parse(endedAt) - Date.parse(startedAt))}`;
  const made = result !== undefined && 'disks' in result ? result : undefined;
  const lines = [
    `${name ?? instanceId}: ${phase}`,
    ...nameTable({
      id: instanceId,
      host,
      operation: `${operation}, started ${timeText(startedAt)}${took}`,
      state: made?.state,
      directory: made?.directory,
      domain: made?.domain,
      failed: error === undefined ? undefined : `${error.code}${error.step === undefined ? '' : ` in ${error.step}`}`,
      parked: parkedText(view, now),
      because: error?.message ?? parked?.message,
      'what to do': error?.remedy ?? parked?.remedy,
      'its host': view.hostAwaySince === undefined ? undefined : awayText(phase, host, view.hostAwaySince, now),
    }),
  ];
  const progress: OperationView = { operation, phase, host, steps };
  const room = { columns: process.stdout.columns || 160, rows: 200 };
  const [, ...stepRows] = stepLines(progress, { now, rateOf: () => undefined, ...room });
  if (stepRows.length > 0) lines.push('', ...stepRows);
  if (phase === 'NeedsOperator') lines.push('', waysOn(instanceId, parked?.code));
  if (made !== undefined) lines.push(...diskLines(made));
  return lines.join('\n');
}
