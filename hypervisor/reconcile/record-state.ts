import { type HostPaths, instanceDirectory } from '../../domain/host-paths.ts';
import { type InstanceRecord, instanceRecordName } from '../../domain/instance-record.ts';
import { isThere } from '../files/small-file.ts';
import { readInstanceRecord } from '../instance/instance-record.ts';

/** An instance's record; `unreadable`: there is one, and what it says is not known; undefined: there is none. */
export type RecordState = InstanceRecord | 'unreadable' | undefined;

/**
 * Reads an instance's record, and distinguishes none from one that is damaged, of a later release, or unreadable: of
 * such an instance nothing may count as orphaned.
 */
export async function readRecordState(paths: HostPaths, instanceId: string): Promise<RecordState> {
  try {
    const record = await readInstanceRecord(paths, instanceId);
    if (record !== undefined) return record;
    const isDamaged = await isThere(`${instanceDirectory(paths, instanceId)}/${instanceRecordName}`);
    return isDamaged ? 'unreadable' : undefined;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === undefined) throw error;
    // A file with an instance's name is no instance.
    return code === 'ENOTDIR' ? undefined : 'unreadable';
  }
}
