import type { EverbootClient } from '../client/connect-client.ts';
import { findTemporal } from './find-temporal.ts';
import { loadSettings, type Settings } from './settings.ts';

/** Connects to Temporal for the length of some work. Throws ConfigInvalid, TemporalUnreachable. */
export async function withClient<Made>(
  work: (client: EverbootClient, settings: Settings) => Promise<Made>,
  given?: Settings,
): Promise<Made> {
  const settings = given ?? (await loadSettings());
  const { foundBy: _anyWay, ...target } = await findTemporal(settings);
  const { connectClient } = await import('../client/connect-client.ts');
  const { secrets, flavors, glance, host } = settings.configuration;
  const client = await connectClient(target, {
    publicKeyFile: secrets.publicKeyFile,
    flavors,
    allowUnverified: glance.allowUnverified,
    hostUnreachableAfterMs: host.hostUnreachableAfter * 1000,
  });
  try {
    return await work(client, settings);
  } finally {
    await client.close();
  }
}
