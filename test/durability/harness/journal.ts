import { appendFileSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Step } from './procedures.ts';

/** A note of a step with a fault, in a file, so that it is known when its process is dead. */
export interface Note {
  readonly step: Step;
  readonly what: 'ran' | 'program' | 'aimed' | 'injected' | 'second' | 'late' | 'later' | 'observed';
  /**
   * Which activity gets the fault, where a step is run for several things; of a late attempt or a broken disk: how it
   * ended.
   */
  readonly words?: string;
}

export interface Journal {
  note(note: Note): void;
  notes(): Note[];
  count(step: Step, what: Note['what']): number;
  /** Waits until so many notes of a kind are there. */
  until(step: Step, what: Note['what'], count?: number): Promise<void>;
  /** Lets what is held continue; `mended`: no fault is injected any more. */
  release(word: 'on' | 'later' | 'mended'): void;
  isReleased(word: 'on' | 'later' | 'mended'): boolean;
}

export const patienceMs = 240_000;

export function openJournal(folder: string): Journal {
  const file = `${folder}/journal`;
  const notes = (): Note[] =>
    existsSync(file)
      ? readFileSync(file, 'utf8')
          .split('\n')
          .filter((line) => line !== '')
          .map((line) => JSON.parse(line))
      : [];
  const count = (step: Step, what: Note['what']): number =>
    notes().filter((note) => note.step === step && note.what === what).length;
  return {
    note: (note) => appendFileSync(file, `${JSON.stringify(note)}\n`),
    notes,
    count,
    async until(step, what, wanted = 1) {
      const deadline = Date.now() + patienceMs;
      while (count(step, what) < wanted) {
        if (Date.now() > deadline) throw new Error(`${step} was never ${what}: ${JSON.stringify(notes())}`);
        await sleep(25);
      }
    },
    release: (word) => writeFileSync(`${folder}/go-${word}`, ''),
    isReleased: (word) => existsSync(`${folder}/go-${word}`),
  };
}
