import type { Context } from '@temporalio/activity';
import type { ActivityInboundCallsInterceptor } from '@temporalio/worker';

/** The steps that run in this process, so that a stopping worker can say what it waits for. */
export interface RunningSteps {
  readonly interceptor: (context: Context) => ActivityInboundCallsInterceptor;
  /** Each running step as `downloadImage of instance/<id>`. */
  list(): readonly string[];
}

export function runningSteps(): RunningSteps {
  const running = new Set<string>();
  return {
    interceptor: ({ info }) => ({
      async execute(input, next) {
        const step = `${info.activityId} of ${info.workflowExecution?.workflowId}`;
        running.add(step);
        try {
          return await next(input);
        } finally {
          running.delete(step);
        }
      },
    }),
    list: () => [...running].sort(),
  };
}
