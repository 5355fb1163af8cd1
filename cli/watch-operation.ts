import { setTimeout as sleep } from 'node:timers/promises';
import type { OperationView } from '../client/progress/read-progress.ts';
import { EverbootFailure } from '../domain/failures.ts';
import { changeLines, progressText, stepLines } from './progress-view.ts';
import { rateMeter } from './transfer-rate.ts';

/** How often the operation is looked at: often at first, when steps are short. */
const quickPauseMs = 200;
const slowPauseMs = 1000;
const quickForMs = 15_000;

/** In a log, a long transfer says how far it is this often. */
const logProgressEveryMs = 15_000;

interface Screen {
  draw(view: OperationView, now: number): void;
}

/**
 * Shows on standard error the progress of an operation: as a table that is redrawn on a terminal, as a line for each
 * change elsewhere. Returns what ends the showing, after a last look.
 */
export function showProgress(lookAt: () => Promise<OperationView>): () => Promise<void> {
  const stopping = new AbortController();
  const stream = process.stderr;
  const screen = stream.isTTY && process.env.TERM !== 'dumb' ? terminalScreen(stream) : logScreen(stream);
  let isAway = false;

  async function look(): Promise<void> {
    try {
      screen.draw(await lookAt(), Date.now());
      isAway = false;
    } catch (error) {
      // Of what goes wrong with the operation, whoever waits for it learns; here only the view would suffer.
      if (!isAway && error instanceof EverbootFailure && error.code === 'TemporalUnreachable') {
        stream.write(`${error.message}; waiting for it to come back\n`);
        isAway = true;
      }
    }
  }

  const startedAt = Date.now();
  const watching = (async () => {
    while (!stopping.signal.aborted) {
      await look();
      const pauseMs = Date.now() - startedAt < quickForMs ? quickPauseMs : slowPauseMs;
      await sleep(pauseMs, undefined, { signal: stopping.signal }).catch(() => undefined);
    }
  })();

  return async () => {
    stopping.abort();
    await watching;
    await look();
  };
}

function terminalScreen(stream: NodeJS.WriteStream): Screen {
  const meter = rateMeter();
  let drawn: readonly string[] = [];
  return {
    draw(view, now) {
      meter.note(view.steps, now);
      const size = { columns: stream.columns || 80, rows: stream.rows || 24 };
      const lines = stepLines(view, { now, rateOf: meter.rateOf, ...size });
      const up = drawn.length === 0 ? '' : `\u001b[${drawn.length}A`;
      stream.write(`${up}${lines.map((line) => `\u001b[2K${line}\n`).join('')}\u001b[0J`);
      drawn = lines;
    },
  };
}

function logScreen(stream: NodeJS.WriteStream): Screen {
  const meter = rateMeter();
  let before: OperationView | null = null;
  let progressSaidAt = Date.now();
  return {
    draw(view, now) {
      meter.note(view.steps, now);
      const lines = changeLines(before, view, now);
      if (now - progressSaidAt >= logProgressEveryMs) {
        progressSaidAt = now;
        for (const step of view.steps) {
          const text = step.state === 'running' ? progressText(step, meter.rateOf) : undefined;
          if (text !== undefined) lines.push(`▸ ${step.summary}: ${text}`);
        }
      }
      for (const line of lines) stream.write(`${line}\n`);
      before = view;
    },
  };
}
