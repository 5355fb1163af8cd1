import { NativeConnection } from '@temporalio/worker';
import { installTemporalRuntime } from '../../../workers/temporal-runtime.ts';
import { type HostOrder, serveHost } from './serve-host.ts';

/** A host's worker as a process of its own, to be killed. Its order is its only argument. */
const order = JSON.parse(process.argv[2] ?? '') as HostOrder;
installTemporalRuntime();
const connection = await NativeConnection.connect({ address: order.address });
const host = await serveHost(connection, order);
process.stdout.write('ready\n');
process.once('SIGTERM', async () => {
  await host.stop();
  process.exit(0);
});
