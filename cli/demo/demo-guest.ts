import { generateKeyPairSync, randomBytes, randomUUID } from 'node:crypto';
import type { ImageReference } from '../../domain/image.ts';
import { demoFlavor } from './demo-folder.ts';
import type { ExpectedGuest } from './guest-report.ts';

/** The guest of one run. Its names are new each time, so that what it reports can come from nowhere but this run. */
export interface DemoGuest {
  readonly instanceId: string;
  readonly expected: ExpectedGuest;
  spec(host: string, image: ImageReference): Readonly<Record<string, unknown>>;
}

/** Invents a guest: an id, a host name and an ssh key, whose private half is thrown away. */
export function newDemoGuest(): DemoGuest {
  const instanceId = randomUUID();
  const hostname = `demo-${randomBytes(3).toString('hex')}`;
  const sshKey = `ssh-ed25519 ${newPublicKey().toString('base64')} everboot-demo`;
  return {
    instanceId,
    expected: {
      rootBytes: demoFlavor.root_gb * 2 ** 30,
      ephemeralBytes: demoFlavor.ephemeral_gb * 2 ** 30,
      swapBytes: demoFlavor.swap_mb * 2 ** 20,
      hostname,
      sshKey,
    },
    spec: (host, image) => ({
      id: instanceId,
      name: hostname,
      host,
      flavor: 'demo',
      image,
      configDrive: true,
      sshKeys: [sshKey],
    }),
  };
}

/** A public key as RFC 8709 writes it: the type and the key, each behind its length. */
function newPublicKey(): Buffer {
  const { x = '' } = generateKeyPairSync('ed25519').publicKey.export({ format: 'jwk' });
  const parts = [Buffer.from('ssh-ed25519'), Buffer.from(x, 'base64url')];
  return Buffer.concat(
    parts.flatMap((part) => {
      const length = Buffer.alloc(4);
      length.writeUInt32BE(part.length);
      return [length, part];
    }),
  );
}
