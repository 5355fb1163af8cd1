import { copyFile, open } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { EverbootFailure } from '../../domain/failures.ts';
import { type GuestReport, parseGuestReport } from './guest-report.ts';

/** Enough for a guest whose processor is emulated on a loaded machine. */
const reportTimeoutMs = 180_000;
const pauseMs = 200;

/** More than any guest of ours prints. */
const maxConsoleBytes = 1024 * 1024;

export interface ReportWait {
  readonly consoleLog: string;
  /** Gets the console when the guest did not report, since the instance's own is deleted with it. */
  readonly keptConsole: string;
  readonly signal: AbortSignal;
  /** Called again and again with the time that has passed. */
  readonly onWait: (waitedMs: number) => void;
}

/**
 * Waits until the guest's report is complete. Throws ProgramTimedOut when it does not within three minutes, and
 * HostUnsuitable when it says that it cannot continue; both name a copy of its console.
 */
export async function waitForReport({ consoleLog, keptConsole, signal, onWait }: ReportWait): Promise<GuestReport> {
  const beganAt = Date.now();
  for (;;) {
    const report = parseGuestReport(await readConsole(consoleLog));
    if (report.done) return report;
    const waitedMs = Date.now() - beganAt;
    if (report.failure !== null || waitedMs > reportTimeoutMs) {
      await copyFile(consoleLog, keptConsole).catch(() => undefined);
      const remedy = `Read what it printed, in ${keptConsole}; \`everboot demo --keep\` leaves such a guest running.`;
      if (report.failure !== null) {
        throw new EverbootFailure('HostUnsuitable', `the guest cannot continue: ${report.failure}`, { remedy });
      }
      const problem = `the guest did not report on its console within ${reportTimeoutMs / 1000} s`;
      throw new EverbootFailure('ProgramTimedOut', problem, { remedy });
    }
    onWait(waitedMs);
    await sleep(pauseMs, undefined, { signal });
  }
}

async function readConsole(path: string): Promise<string> {
  const file = await open(path, 'r');
  try {
    const bytes = Buffer.alloc(maxConsoleBytes);
    const { bytesRead } = await file.read(bytes, 0, maxConsoleBytes, 0);
    return bytes.toString('latin1', 0, bytesRead);
  } finally {
    await file.close();
  }
}
