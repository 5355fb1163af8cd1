import { type HostPaths, instanceDirectory } from '../../domain/host-paths.ts';
import { type InstanceRecord, instanceRecordName, isInstanceRecord } from '../../domain/instance-record.ts';
import { publishText } from '../files/publish-file.ts';
import { readStateFile } from '../files/small-file.ts';

/** Reads an instance's record; undefined when there is none, or none that this release understands. */
export async function readInstanceRecord(paths: HostPaths, instanceId: string): Promise<InstanceRecord | undefined> {
  const value = await readStateFile(`${instanceDirectory(paths, instanceId)}/${instanceRecordName}`);
  return isInstanceRecord(value, instanceId) ? value : undefined;
}

/** Writes the record whole, into the instance's directory or into the folder that is about to become it. */
export async function writeInstanceRecord(directory: string, record: InstanceRecord): Promise<void> {
  await publishText(`${directory}/${instanceRecordName}`, `${JSON.stringify(record, null, 2)}\n`, 0o640);
}
