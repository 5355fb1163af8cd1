import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { findTemporalCli, startTemporalServer } from '../../../workers/temporal-server.ts';
import { freePorts } from '../../fixtures/free-port.ts';
import { stateDirectory } from '../../fixtures/state-directory.ts';

/** A Temporal server with a database file, which can be killed and started again at the same address. */
export interface MortalTemporal {
  readonly address: string;
  /** SIGKILL, a moment without it, and a new process on the same database. */
  killAndRestart(): Promise<void>;
  stop(): Promise<void>;
}

export async function startMortalTemporal(): Promise<MortalTemporal> {
  const executable = await findTemporalCli(stateDirectory(), process.env.PATH ?? '');
  if (executable === null) throw new Error('there is no Temporal CLI: `./everboot test` gets it');
  const folder = await mkdtemp(join(tmpdir(), 'everboot-temporal-'));
  const [port = 0, uiPort = 0] = await freePorts(2);
  const start = () => startTemporalServer({ stateDirectory: folder, executable, port, uiPort, namespace: 'default' });
  let server = await start();
  return {
    address: server.address,
    async killAndRestart() {
      process.kill(server.program.pid, 'SIGKILL');
      await server.program.ended;
      server = await start();
    },
    async stop() {
      await server.program.stop(5000);
      await rm(folder, { recursive: true, force: true });
    },
  };
}
