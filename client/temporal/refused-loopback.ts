import { connect } from 'node:net';

const answerTimeoutMs = 1000;

/**
 * Whether nothing listens at an address of this machine, which the kernel knows at once. gRPC would continue trying
 * until its time is up, and a server that was not started is the most frequent reason for no answer. Of other machines
 * it says nothing, as the way to them may lead through a proxy.
 */
export async function isRefusedLoopback(address: string): Promise<boolean> {
  const [, host, port] = /^(localhost|127(?:\.\d{1,3}){3}|\[::1\]):(\d+)$/.exec(address) ?? [];
  if (host === undefined || port === undefined) return false;
  return await new Promise((resolve) => {
    const socket = connect({ host: host.replace(/[[\]]/g, ''), port: Number(port), timeout: answerTimeoutMs });
    const end = (isRefused: boolean): void => {
      socket.destroy();
      resolve(isRefused);
    };
    socket.once('connect', () => end(false));
    socket.once('timeout', () => end(false));
    socket.once('error', (error: NodeJS.ErrnoException) => end(error.code === 'ECONNREFUSED'));
  });
}
