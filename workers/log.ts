import { DefaultLogger, type LogLevel } from '@temporalio/worker';
import { destination, pino } from 'pino';

/**
 * The worker's log: one JSON object a line on standard error. Secrets never get here; inputs of steps are not logged.
 */
export const log = pino({ name: 'everboot', base: null, level: 'info' }, destination({ fd: 2, sync: false }));

const levels: Readonly<Record<LogLevel, 'trace' | 'debug' | 'info' | 'warn' | 'error'>> = {
  TRACE: 'trace',
  DEBUG: 'debug',
  INFO: 'info',
  WARN: 'warn',
  ERROR: 'error',
};

/** The fields of an entry that are logged; the rest names the SDK's internals. */
const keptFields = ['activityType', 'activityId', 'attempt', 'workflowId', 'workflowType', 'taskQueue', 'error'];

/** Each of our workers has one kind of task only, and that is meant. */
const meant = /^No (activities|workflows) registered/;

/** The Temporal SDK's messages, in the same log. */
export const temporalLogger = new DefaultLogger('WARN', ({ level, message, meta }) => {
  if (meant.test(message)) return;
  const fields: Record<string, unknown> = {};
  for (const field of keptFields) {
    const value = meta?.[field];
    if (value !== undefined) fields[field] = value instanceof Error ? value.message : value;
  }
  log[levels[level]](fields, message);
});
