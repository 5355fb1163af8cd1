/**
 * Preloaded into a worker: notes each program that it starts, a line each, in the file that EVERBOOT_BENCH_PROGRAMS
 * names.
 */

import { subscribe } from 'node:diagnostics_channel';
import { appendFileSync } from 'node:fs';

const file = process.env.EVERBOOT_BENCH_PROGRAMS;
if (file !== undefined) {
  subscribe('child_process', (message) => {
    const { process: child } = message as { process: { spawnargs?: readonly string[]; spawnfile?: string } };
    // Known only after the spawn.
    queueMicrotask(() => appendFileSync(file, `${(child.spawnargs ?? [child.spawnfile ?? '?']).join(' ')}\n`));
  });
}
