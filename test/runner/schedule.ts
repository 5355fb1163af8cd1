import { type Need, needsOf } from './needs.ts';

/** A test file that is to run, and what is known of it. */
export interface Job {
  readonly path: string;
  /** Files of a lower rank start first. */
  readonly rank: number;
  readonly seconds: number;
  readonly cpuSeconds: number;
}

/** How many files may run at once: those that compute, and beside them those that mostly wait. */
export interface Lanes {
  readonly cpu: number;
  readonly waiting: number;
}

/**
 * A file that uses less than this part of a core mostly waits. What computes gets more of one even while files compute
 * in all lanes, so that no crowded run makes it one of those that wait.
 */
const waitingBelow = 0.35;

/** Whether a file spends most of its time waiting: for a timer, a server, a heartbeat. */
export function mostlyWaits({ seconds, cpuSeconds, path }: Job): boolean {
  return !needsOf(path).includes('guest') && cpuSeconds < seconds * waitingBelow;
}

/**
 * The order in which files start while nothing keeps them: by rank, then the longest first. Files that can only follow
 * one another are as long as all of them together.
 */
export function inOrder(jobs: readonly Job[]): Job[] {
  const chains = new Map<Need, number>();
  for (const { path, seconds } of jobs) {
    for (const need of needsOf(path)) chains.set(need, (chains.get(need) ?? 0) + seconds);
  }
  const lengthOf = ({ path, seconds }: Job): number =>
    Math.max(seconds, ...needsOf(path).map((need) => chains.get(need) ?? 0));
  return [...jobs].sort(
    (one, other) =>
      one.rank - other.rank ||
      lengthOf(other) - lengthOf(one) ||
      other.seconds - one.seconds ||
      (one.path < other.path ? -1 : 1),
  );
}

/**
 * The first file of a queue that may start beside those that run; undefined where it is better to wait for one of them.
 * A file that mostly waits takes a CPU lane only while no other file can use it.
 */
export function nextJob(queue: readonly Job[], running: readonly Job[], lanes: Lanes): Job | undefined {
  if (running.length >= lanes.cpu + lanes.waiting) return undefined;
  const waiting = running.filter(mostlyWaits).length;
  const free = { cpu: running.length - waiting < lanes.cpu, waiting: waiting < lanes.waiting };
  const taken = new Set(running.flatMap(({ path }) => needsOf(path)));
  const startable = queue.filter(({ path }) => !needsOf(path).some((need) => taken.has(need)));
  const first = startable.find((job) => (mostlyWaits(job) ? free.waiting : free.cpu));
  return first ?? startable.find(mostlyWaits);
}
