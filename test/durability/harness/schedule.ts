import { canInject, type FaultName, faults } from './faults.ts';
import { type Procedure, procedures, type Step, undoSteps } from './procedures.ts';

/** One boot of the soak: everything that is decided about it, from its seed alone. */
export interface BootDecision {
  readonly number: number;
  readonly procedure: Procedure;
  /** At most one of each step. */
  readonly injections: readonly { readonly step: Step; readonly fault: FaultName }[];
  /** Temporal is killed and started again so long after the boot was started; null: it is not. */
  readonly temporalDiesAfterMs: number | null;
}

/** The faults that may come together: none that needs a file system of its own or a second action from outside. */
const combined: readonly FaultName[] = [
  'throwBefore',
  'throwAfter',
  'throwOnce',
  'failFive',
  'runTwice',
  'cancel',
  'terminate',
  'killBefore',
  'killDuring',
  'killAfter',
  'killProgram',
  'drain',
];

const maxFaults = 4;

/** The decisions of a soak: the same for the same seed and number, whatever became of the boots before. */
export function decideBoot(seed: number, number: number): BootDecision {
  const random = randomNumbers(seed, number);
  const pick = <Thing>(things: readonly Thing[]): Thing => things[Math.floor(random() * things.length)] as Thing;
  const procedure = pick(procedures.filter(({ kind }) => kind === 'create' || kind === 'undo'));
  const steps = new Map<Step, FaultName>();
  const candidates = [...procedure.steps, ...undoSteps];
  for (let count = 1 + Math.floor(random() * maxFaults); count > 0; count -= 1) {
    const step = pick(candidates);
    steps.set(step, pick(combined.filter((fault) => canInject(fault, step, procedure))));
  }
  const injections = [...steps].map(([step, fault]) => ({ step, fault }));
  return { number, procedure, injections, temporalDiesAfterMs: random() < 0.04 ? Math.floor(random() * 4000) : null };
}

export function decisionWords({ number, procedure, injections, temporalDiesAfterMs }: BootDecision): string {
  const words = injections.map(({ step, fault }) => `${step} ${faults[fault].title}`);
  if (temporalDiesAfterMs !== null) words.push(`Temporal killed after ${temporalDiesAfterMs} ms`);
  return `boot ${number}, ${procedure.name}: ${words.join('; ')}`;
}

/** Numbers from 0 up to 1, by the splitmix of a 32-bit counter: enough to be spread, and the same everywhere. */
function randomNumbers(seed: number, number: number): () => number {
  let state = Math.imul(seed ^ 0x9e3779b9, 0x85ebca6b) ^ Math.imul(number + 1, 0xc2b2ae35);
  return () => {
    state = (state + 0x9e3779b9) | 0;
    let mixed = Math.imul(state ^ (state >>> 16), 0x21f0aaad);
    mixed = Math.imul(mixed ^ (mixed >>> 15), 0x735a2d97);
    return ((mixed ^ (mixed >>> 15)) >>> 0) / 2 ** 32;
  };
}
