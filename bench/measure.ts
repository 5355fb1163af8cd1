import { readFile, writeFile } from 'node:fs/promises';
import type { Client } from '@temporalio/client';
import type { EverbootClient } from '../client/connect-client.ts';
import { instanceWorkflowId } from '../domain/operations.ts';

export interface BootMeasure {
  /** From the call of the client to its answer. */
  readonly wallMs: number;
  /** From an activity's scheduling to its end, by its id in the history. */
  readonly steps: Readonly<Record<string, number>>;
  /** Tasks that went to a worker and back: workflow tasks and activities. */
  readonly roundTrips: number;
  readonly programs: number;
  readonly writtenBytes: number;
  readonly peakMemoryBytes: number;
}

/** The worker's process, and the file in which its started programs are noted. */
export interface MeasuredWorker {
  readonly pid: number;
  readonly programsFile: string;
}

/** Creates one instance, waits for it, and reports its cost. */
export async function measureBoot(
  { everboot, client }: { readonly everboot: EverbootClient; readonly client: Client },
  worker: MeasuredWorker,
  spec: Record<string, unknown>,
): Promise<{ readonly instanceId: string; readonly measure: BootMeasure }> {
  await writeFile(worker.programsFile, '');
  // Makes the kernel begin a new peak for VmHWM.
  await writeFile(`/proc/${worker.pid}/clear_refs`, '5');
  const writtenBefore = await writtenBytes(worker.pid);
  const startedAtMs = performance.now();
  const started = await everboot.createInstance(spec);
  await everboot.wait(started);
  const wallMs = performance.now() - startedAtMs;
  const { events } = await client.workflow
    .getHandle(instanceWorkflowId(started.instanceId), started.runId)
    .fetchHistory();
  const measure: BootMeasure = {
    wallMs,
    ...readHistory(events ?? []),
    programs: (await readFile(worker.programsFile, 'utf8')).split('\n').length - 1,
    writtenBytes: (await writtenBytes(worker.pid)) - writtenBefore,
    peakMemoryBytes: await peakMemoryBytes(worker.pid),
  };
  return { instanceId: started.instanceId, measure };
}

/** The middle one of a series. */
export function median(numbers: readonly number[]): number {
  const sorted = [...numbers].sort((one, other) => one - other);
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
}

type Events = NonNullable<Awaited<ReturnType<ReturnType<Client['workflow']['getHandle']>['fetchHistory']>>['events']>;

function readHistory(events: Events): Pick<BootMeasure, 'steps' | 'roundTrips'> {
  const scheduled = new Map<number, { readonly id: string; readonly atMs: number }>();
  const steps: Record<string, number> = {};
  let roundTrips = 0;
  for (const event of events) {
    const atMs = Number(event.eventTime?.seconds ?? 0) * 1000 + Number(event.eventTime?.nanos ?? 0) / 1e6;
    const started = event.activityTaskScheduledEventAttributes;
    if (started) scheduled.set(Number(event.eventId), { id: started.activityId ?? '', atMs });
    const ended = event.activityTaskCompletedEventAttributes;
    const step = ended ? scheduled.get(Number(ended.scheduledEventId)) : undefined;
    if (step !== undefined) steps[step.id] = atMs - step.atMs;
    if (ended || event.workflowTaskCompletedEventAttributes) roundTrips += 1;
  }
  return { steps, roundTrips };
}

/** The bytes written by the process and by the children it has waited for. */
async function writtenBytes(pid: number): Promise<number> {
  const [, bytes] = /^write_bytes: (\d+)$/m.exec(await readFile(`/proc/${pid}/io`, 'utf8')) ?? [];
  return Number(bytes);
}

async function peakMemoryBytes(pid: number): Promise<number> {
  const [, kibibytes] = /^VmHWM:\s+(\d+) kB$/m.exec(await readFile(`/proc/${pid}/status`, 'utf8')) ?? [];
  return Number(kibibytes) * 1024;
}
