/**
 * Records the histories that replay.test.ts replays: `node test/workflows/record-histories.ts [SHAPE…]`, without a
 * shape all of them. It writes to the folder of what is not released yet, and to none of an earlier release: see
 * docs/upgrade.md.
 */
import { join } from 'node:path';
import { startOwnTemporalServer } from '../fixtures/temporal-server.ts';
import { startRecorder, writeHistory } from './record-histories/recorder.ts';
import { shapes } from './record-histories/shapes.ts';

const target = new URL('../histories/unreleased/', import.meta.url).pathname;
const asked = process.argv.slice(2);
const server = await startOwnTemporalServer();
process.env.EVERBOOT_TEST_TEMPORAL = server.address;

for (const shape of asked.length === 0 ? Object.keys(shapes) : asked) {
  const { run, host = {} } = shapes[shape] ?? unknownShape(shape);
  // Each shape on hosts of its own, so that none depends on which were recorded before.
  const { recorder, stop } = await startRecorder(server.address, host);
  const handle = await run(recorder);
  await writeHistory(recorder, { handle, path: join(target, `${shape}.json`), address: server.address });
  await stop();
  process.stdout.write(`${shape}\n`);
}
await server.stop();

function unknownShape(shape: string): never {
  throw new Error(`there is no shape ${shape}: ${Object.keys(shapes).join(', ')}`);
}
