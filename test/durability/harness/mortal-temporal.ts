import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { findTemporalCli, startTemporalServer } from '../../../workers/temporal-server.ts';
import { keepEvidence } from '../../fixtures/evidence.ts';
import { freePorts } from '../../fixtures/free-port.ts';
import { stateDirectory } from '../../fixtures/state-directory.ts';

/** A Temporal server with a database file, which can be killed and started again at the same address. */
export interface MortalTemporal {
  readonly address: string;
  /** Sends the server's process a signal, and with SIGKILL waits until it is gone. */
  signal(name: 'SIGKILL' | 'SIGSTOP' | 'SIGCONT'): Promise<void>;
  /** A new process on the same database. */
  restart(): Promise<void>;
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
  // One kill after the other, whoever asks for them.
  let restarted: Promise<void> = Promise.resolve();
  const temporal: MortalTemporal = {
    address: server.address,
    async signal(name) {
      process.kill(server.program.pid, name);
      if (name === 'SIGKILL') await server.program.ended;
    },
    async restart() {
      server = await start();
    },
    async killAndRestart() {
      restarted = restarted.then(async () => {
        await temporal.signal('SIGKILL');
        await temporal.restart();
      });
      await restarted;
    },
    async stop() {
      await restarted.catch(() => undefined);
      await server.program.stop(5000);
      await keepEvidence(folder);
      await rm(folder, { recursive: true, force: true });
    },
  };
  return temporal;
}
