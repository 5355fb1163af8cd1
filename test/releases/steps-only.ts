/**
 * Loaded before a release's command line (`node --import`), it makes its worker carry out its host's steps and no
 * workflow, so that another release's can have those.
 */
import { Worker } from '@temporalio/worker';

const create = Worker.create.bind(Worker);
Worker.create = async (options) =>
  await create(options.workflowBundle === undefined ? options : { ...options, taskQueue: 'nobody-asks-for-this' });
