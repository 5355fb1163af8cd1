import type { ProgramEnd } from '../../domain/program-end.ts';

/** The status of a shell whose program was ended by SIGSEGV: lvm2 sometimes crashes beside another of its commands. */
const crashStatus = 139;

/** The name of the volume group that lvm2 2.03.16 does not find; undefined where it complains of something else. */
export function missingGroup({ stderrTail }: ProgramEnd): string | undefined {
  return /Volume group "?([^" ]+)"? not found/.exec(stderrTail)?.[1];
}

/** The complaint of lvm2 2.03.16, which ends with the same status whatever is wrong; null: another one. */
export function lvmComplaint({ exitCode, stderrTail }: ProgramEnd): 'full' | 'no device mapper' | 'passing' | null {
  if (/insufficient (free space|suitable allocatable extents)/i.test(stderrTail)) return 'full';
  if (/device-mapper driver|device-mapper target|device-mapper kernel driver/.test(stderrTail))
    return 'no device mapper';
  // Somebody looks at the device, or an earlier worker's command was quicker.
  const isPassing = / in use|logical volume .*not found|Failed to find logical volume/i.test(stderrTail);
  return isPassing || exitCode === crashStatus ? 'passing' : null;
}
