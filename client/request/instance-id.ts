import { randomUUID } from 'node:crypto';
import { EverbootFailure } from '../../domain/failures.ts';

const uuid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/** Throws SpecInvalid for what cannot be an instance’s id. */
export function checkInstanceId(id: string): void {
  if (uuid.test(id)) return;
  throw new EverbootFailure(
    'SpecInvalid',
    `"${id.slice(0, 80)}" is no instance id: a UUID in lower case was expected`,
    {
      remedy: '`everboot list` shows the ids.',
    },
  );
}

/**
 * A spec’s document with an id: its own, or a new one. What is no map is returned as it is; reading the spec refuses
 * it.
 */
export function withInstanceId(document: unknown): unknown {
  if (typeof document !== 'object' || document === null || Array.isArray(document)) return document;
  return 'id' in document && document.id !== undefined ? document : { ...document, id: randomUUID() };
}

/** The failure for an instance of which Temporal knows no operation; naming a host would not help. */
export function unknownInstance(id: string): EverbootFailure {
  return new EverbootFailure('InstanceNotFound', `Temporal does not know the instance ${id}`, {
    remedy: 'Check the id with `everboot list --all`.',
  });
}
