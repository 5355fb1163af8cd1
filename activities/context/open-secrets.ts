import type { InstanceSecrets, SealedSecrets } from '../../domain/spec.ts';
import { openSecrets, readPrivateKeys } from '../../hypervisor/secrets/secret-keys.ts';
import type { Host } from './host.ts';

/** Opens the sealed parts of an instance's spec with the host's keys. Throws SecretUnreadable and ConfigInvalid. */
export async function openSecretsOf(host: Host, sealed: SealedSecrets, instanceId: string): Promise<InstanceSecrets> {
  // A host without a key still boots what has no secrets.
  const isSealed = Object.keys(sealed).length > 0;
  const keys = isSealed ? await readPrivateKeys(host.configuration.secrets.privateKeyFile) : [];
  return await openSecrets(sealed, instanceId, keys);
}
