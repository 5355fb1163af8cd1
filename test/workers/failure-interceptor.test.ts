import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { ApplicationFailure, CancelledFailure, type Context } from '@temporalio/activity';
import { EverbootFailure } from '../../domain/failures.ts';
import { failureInterceptor } from '../../workers/failure-interceptor.ts';

/** The part of an activity's context that the interceptor reads. */
function contextOf(activityType: string, signal = new AbortController().signal): Context {
  const info = {
    activityType,
    activityId: activityType,
    workflowExecution: { workflowId: 'instance/1', runId: 'run' },
    // Scheduled an hour ago: it waited for its slot, or its host was away.
    scheduledTimestampMs: Date.now() - 3_600_000,
    attempt: 7,
  };
  return { info, cancellationSignal: signal, cancellationDetails: undefined } as unknown as Context;
}

/** Runs a step that fails, and returns what Temporal gets to see. */
async function failureOf(
  intercept: ReturnType<typeof failureInterceptor>,
  context: Context,
  error: unknown,
): Promise<unknown> {
  const { execute } = intercept(context);
  assert.ok(execute !== undefined);
  try {
    await execute({ args: [], headers: {} }, () => Promise.reject(error));
  } catch (failure) {
    return failure;
  }
  throw new Error('the step did not fail');
}

function assertFails(failure: unknown, type: string, nonRetryable: boolean): void {
  assert.ok(failure instanceof ApplicationFailure);
  assert.deepEqual({ type: failure.type, nonRetryable: failure.nonRetryable }, { type, nonRetryable });
}

test('the time for retries starts with the first failure, however long the step waited before', async () => {
  const intercept = failureInterceptor({ LibvirtUnavailable: 40 });
  const context = contextOf('defineDomain');
  const failure = new EverbootFailure('LibvirtUnavailable', 'x');
  assertFails(await failureOf(intercept, context, failure), 'LibvirtUnavailable', false);
  await sleep(60);
  assertFails(await failureOf(intercept, context, failure), 'LibvirtUnavailable', true);
  // The count is over with the step.
  assertFails(await failureOf(intercept, context, failure), 'LibvirtUnavailable', false);
});

test('a failure that passed for too long has its final name', async () => {
  const intercept = failureInterceptor({ GlanceUnavailable: 0 });
  const context = contextOf('downloadImage');
  const failure = new EverbootFailure('GlanceUnavailable', 'x');
  await failureOf(intercept, context, failure);
  await sleep(5);
  assertFails(await failureOf(intercept, context, failure), 'GlanceConnectionFailed', true);
});

test('an undo is tried again whatever it fails with', async () => {
  const intercept = failureInterceptor({ LibvirtUnavailable: 0, HostIoError: 0 });
  for (const step of ['releaseInstance', 'removeDomain']) {
    for (const code of ['DomainRejected', 'LibvirtUnavailable', 'HostIoError', 'ProgramFailed'] as const) {
      const failure = new EverbootFailure(code, 'x');
      for (let round = 0; round < 3; round += 1) {
        assertFails(await failureOf(intercept, contextOf(step), failure), code, false);
        await sleep(2);
      }
    }
  }
});

test('whatever a cancelled step fails with, it was cancelled', async () => {
  const intercept = failureInterceptor({});
  const stop = new AbortController();
  stop.abort();
  const failure = await failureOf(
    intercept,
    contextOf('createRootDisk', stop.signal),
    new EverbootFailure('HostIoError', 'x'),
  );
  assert.ok(failure instanceof CancelledFailure);
});

test('the operating system’s words become codes, and a defect is a defect', async () => {
  const intercept = failureInterceptor({});
  const full = Object.assign(new Error('write'), { code: 'ENOSPC' });
  assertFails(await failureOf(intercept, contextOf('a'), full), 'InsufficientSpace', true);
  const disk = Object.assign(new Error('read'), { code: 'EIO' });
  assertFails(await failureOf(intercept, contextOf('b'), disk), 'HostIoError', false);
  assertFails(await failureOf(intercept, contextOf('c'), new TypeError('x')), 'InternalError', true);
});

test('a step that a stopping worker interrupts is tried again at once, and not after the policy’s own delay', async () => {
  const stopping = AbortSignal.abort();
  const context = { ...contextOf('downloadImage', stopping), cancellationDetails: { workerShutdown: true } };
  const failure = await failureOf(failureInterceptor({}), context as unknown as Context, stopping.reason);
  assertFails(failure, 'WorkerStopping', false);
  assert.equal((failure as ApplicationFailure).nextRetryDelay, 1);
});

test('how a program ended travels with the failure, and not in its words alone', async () => {
  const program = { program: 'lvm', exitCode: 5, signal: null, stderrTail: 'in use', cut: null };
  const failure = new EverbootFailure('ProgramFailed', 'lvm ended with exit status 5: in use', { program });
  const carried = await failureOf(failureInterceptor({}), contextOf('createRootDisk'), failure);
  assertFails(carried, 'ProgramFailed', true);
  const { message, remedy } = failure;
  assert.deepEqual((carried as ApplicationFailure).details, [{ message, remedy, problems: [], program }]);
});
