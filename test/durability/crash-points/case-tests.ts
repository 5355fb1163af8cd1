import { mkdtemp, rm } from 'node:fs/promises';
import { after, before, test } from 'node:test';
import { buildAtCall } from './at-call.ts';
import type { CrashCase } from './lane.ts';
import { sweepCrashPoints } from './sweep.ts';

/** Makes a test of each case, by its title, in the suite that it is called in. */
export function testCrashPoints(cases: Readonly<Record<string, CrashCase>>): void {
  let tools: string;
  let tracer: string;
  before(async () => {
    tools = await mkdtemp('/var/tmp/everboot-crash-tools-');
    tracer = buildAtCall(tools);
  });
  after(() => rm(tools, { recursive: true, force: true }));
  for (const [title, crash] of Object.entries(cases)) {
    test(title, { timeout: 300_000 }, (t) => sweepCrashPoints(t, tracer, crash));
  }
}
