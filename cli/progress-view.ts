import type { OperationView, StepView } from '../client/progress/read-progress.ts';
import { sizeText } from '../domain/sizes.ts';
import { printable } from './output.ts';
import type { RateOf } from './transfer-rate.ts';
import { durationText, timeLeftText } from './units.ts';
import { waitingLines } from './waiting-text.ts';

const marks = { running: '▸', waiting: '·', done: '✓', failed: '✗', cancelled: '✗' } as const;

/** An operation’s steps as lines for a terminal of a certain size, the oldest left out where there are too many. */
export function stepLines(
  view: OperationView,
  options: { readonly now: number; readonly rateOf: RateOf; readonly columns: number; readonly rows: number },
): string[] {
  const { now, rateOf, columns, rows } = options;
  const { operation, phase, host, steps } = view;
  const head = `${operation} on ${host}: ${phase}`;
  const waits = waitingLines(view, now).map((line) => `  ! ${line}`);
  const room = Math.max(1, rows - 2 - waits.length);
  const hidden = Math.max(0, steps.length - room);
  const shown = steps.slice(hidden);
  const widest = Math.max(0, ...shown.map(({ summary }) => summary.length));
  const summaryWidth = Math.min(widest, Math.max(20, columns - 40));
  const lines = shown.map((step) => {
    const mark = marks[step.waiting === true ? 'waiting' : step.state];
    const summary = shorten(step.summary, summaryWidth).padEnd(summaryWidth);
    return `  ${mark} ${summary}  ${stateText(step, now, rateOf)}`;
  });
  const more = hidden === 0 ? [] : [`  … ${hidden} earlier steps`];
  return [head, ...more, ...lines, ...waits].map((line) => shorten(printable(line).trimEnd(), columns - 1));
}

/** A step's duration, or its progress. */
export function stateText(step: StepView, now: number, rateOf: RateOf): string {
  const startedAt = Date.parse(step.startedAt);
  if (step.endedAt !== undefined) {
    const took = durationText(Date.parse(step.endedAt) - startedAt);
    return step.state === 'done' ? took : `${step.state} after ${took}`;
  }
  const parts = [progressText(step, rateOf) ?? (step.waiting === true ? 'waiting' : durationText(now - startedAt))];
  if (step.attempt !== undefined) parts.push(`attempt ${step.attempt}`);
  if (step.lastFailure !== undefined) parts.push(`${step.lastFailure.code}: ${step.lastFailure.message}`);
  return parts.join(', ');
}

/** "412 MiB of 1.2 GiB, 85 MiB/s, 9 s left"; undefined where a step says nothing of bytes. */
export function progressText({ activityId, progress }: StepView, rateOf: RateOf): string | undefined {
  if (progress === undefined) return undefined;
  const { doneBytes, totalBytes, note } = progress;
  const parts = note === undefined ? [] : [note];
  if (doneBytes > 0 || totalBytes !== null) {
    parts.push(totalBytes === null ? sizeText(doneBytes) : `${sizeText(doneBytes)} of ${sizeText(totalBytes)}`);
  }
  const rate = rateOf(activityId);
  if (rate !== undefined && rate > 0) {
    parts.push(`${sizeText(Math.round(rate))}/s`);
    if (totalBytes !== null && totalBytes > doneBytes) {
      parts.push(`${timeLeftText((totalBytes - doneBytes) / rate)} left`);
    }
  }
  return parts.length === 0 ? undefined : parts.join(', ');
}

/** The changes since the last view, a line each, for a log. */
export function changeLines(before: OperationView | null, view: OperationView, now: number): string[] {
  const { phase, steps, parked, hostAwaySince } = view;
  const lines: string[] = [];
  const waitsAgain = parked?.since !== before?.parked?.since || hostAwaySince !== before?.hostAwaySince;
  if (before?.phase !== phase) lines.push(phase);
  if (before?.phase !== phase || waitsAgain) lines.push(...waitingLines(view, now).map((line) => `! ${line}`));
  const known = new Map(before?.steps.map((step) => [stepKey(step), step]) ?? []);
  for (const step of steps) {
    const old = known.get(stepKey(step));
    const isNews =
      old?.state !== step.state ||
      old.attempt !== step.attempt ||
      old.lastFailure?.message !== step.lastFailure?.message;
    if (!isNews) continue;
    const state = stateText(step, now, () => undefined);
    lines.push(
      step.state === 'running' && step.attempt === undefined
        ? `▸ ${step.summary}`
        : `${marks[step.state]} ${step.summary}: ${state}`,
    );
  }
  return lines.map(printable);
}

/** The same activity may occur twice, once for each time it was asked for. */
function stepKey({ activityId, startedAt }: StepView): string {
  return `${activityId} ${startedAt}`;
}

function shorten(text: string, length: number): string {
  return text.length <= length ? text : `${text.slice(0, Math.max(0, length - 1))}…`;
}
