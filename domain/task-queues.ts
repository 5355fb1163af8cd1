/** Workflow tasks of all instances; every host's worker polls it. */
export const workflowTaskQueue = 'everboot';

/**
 * A host polls three queues, so that long downloads and conversions never starve a cancel, an undo or a first step.
 * `light` has many slots, `fetch` and `disk` as few as the host's configuration says.
 */
export type Lane = 'light' | 'fetch' | 'disk';

/** The queue on which a host's worker takes the activities of one lane. */
export function hostTaskQueue(host: string, lane: Lane): string {
  const queue = `everboot-host-${host}`;
  return lane === 'light' ? queue : `${queue}-${lane}`;
}
