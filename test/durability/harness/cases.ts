import type { Case } from './check-outcome.ts';
import { canInject, type FaultName, faultNames } from './faults.ts';
import { type Procedure, procedures } from './procedures.ts';

/** Every case of the matrix. */
export function allCases(): Case[] {
  return procedures.flatMap((procedure, index) =>
    procedure.injections === 'every' ? everyPair(procedure) : somePairs(procedure, index),
  );
}

export function everyPair(procedure: Procedure): Case[] {
  return procedure.steps.flatMap((step) =>
    faultNames.filter((fault) => canInject(fault, step, procedure)).map((fault) => ({ procedure, step, fault })),
  );
}

/** Each step and each fault at least once: the faults go round the steps, beginning elsewhere for each procedure. */
function somePairs(procedure: Procedure, turn: number): Case[] {
  const { steps } = procedure;
  const waiting: FaultName[] = faultNames.filter((fault) => steps.some((step) => canInject(fault, step, procedure)));
  const cases: Case[] = [];
  for (let at = 0; at < Math.max(steps.length, waiting.length); at += 1) {
    const fault = waiting[at % waiting.length] as FaultName;
    const order = steps.map((_, index) => steps[(at + turn * 5 + index) % steps.length]);
    const step = order.find((candidate) => candidate !== undefined && canInject(fault, candidate, procedure));
    if (step !== undefined) cases.push({ procedure, step, fault });
  }
  // A step whose turn came with a fault that cannot be injected into it.
  for (const step of steps.filter((one) => cases.every((given) => given.step !== one))) {
    const fault = faultNames.find((one) => canInject(one, step, procedure));
    if (fault !== undefined) cases.push({ procedure, step, fault });
  }
  return cases;
}
