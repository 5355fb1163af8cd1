import { inOrder, type Job, type Lanes, nextJob } from './schedule.ts';

/** Runs all files, each as soon as the schedule lets it start. */
export async function runPool(jobs: readonly Job[], lanes: Lanes, run: (job: Job) => Promise<void>): Promise<void> {
  const queue = inOrder(jobs);
  const running = new Map<Job, Promise<Job>>();
  while (queue.length > 0 || running.size > 0) {
    for (let job = nextJob(queue, [...running.keys()], lanes); job !== undefined; ) {
      const started = job;
      queue.splice(queue.indexOf(started), 1);
      running.set(
        started,
        run(started).then(() => started),
      );
      job = nextJob(queue, [...running.keys()], lanes);
    }
    running.delete(await Promise.race(running.values()));
  }
}
