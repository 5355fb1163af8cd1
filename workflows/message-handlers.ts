import { defineQuery, defineUpdate, setHandler } from '@temporalio/workflow';
import type { QueryName, UpdateName, WorkflowQueries, WorkflowUpdates } from '../domain/workflows.ts';

/** Answers a query of `WorkflowQueries`. */
export function answerQuery<Name extends QueryName>(name: Name, answer: () => WorkflowQueries[Name]): void {
  setHandler(defineQuery<WorkflowQueries[Name]>(name), answer);
}

interface UpdateHandling<Name extends UpdateName> {
  /** For the Temporal UI. */
  readonly description: string;
  /** Throws where the update is refused, which leaves no trace in the history. */
  readonly validator: (request?: WorkflowUpdates[Name]) => void;
}

/** Accepts an update of `WorkflowUpdates`. Whoever sends one by hand may leave its request out. */
export function acceptUpdate<Name extends UpdateName>(
  name: Name,
  handling: UpdateHandling<Name>,
  accept: (request?: WorkflowUpdates[Name]) => void,
): void {
  setHandler(defineUpdate<void, [WorkflowUpdates[Name]?]>(name), accept, { ...handling });
}
