import { EverbootFailure } from '../../domain/failures.ts';

/** Glance's own fields; everything else in a record is a property, see Nova's _translate_from_glance. */
const ownFields = new Set([
  'id',
  'name',
  'status',
  'visibility',
  'protected',
  'os_hidden',
  'owner',
  'size',
  'virtual_size',
  'disk_format',
  'container_format',
  'checksum',
  'os_hash_algo',
  'os_hash_value',
  'min_disk',
  'min_ram',
  'created_at',
  'updated_at',
  'deleted_at',
  'deleted',
  'tags',
  'locations',
  'direct_url',
  'stores',
  'self',
  'file',
  'schema',
]);

/** Nothing that shapes a guest is longer; what is, such as an embedded document, is left out. */
const maxValueLength = 4096;
/** All of them travel in the workflow's history. */
const maxTotalLength = 128 * 1024;

/** An image's properties as text. Throws ImageUnacceptable when they are more than a history should carry. */
export function imageProperties(id: string, record: Readonly<Record<string, unknown>>): Record<string, string> {
  const properties = Object.entries(record).flatMap(([key, value]): [string, string][] => {
    if (ownFields.has(key) || !['string', 'number', 'boolean'].includes(typeof value)) return [];
    const text = String(value);
    return text.length > maxValueLength || key.length > 255 ? [] : [[key, text]];
  });
  const totalLength = properties.reduce((sum, [key, text]) => sum + key.length + text.length, 0);
  if (totalLength > maxTotalLength) {
    throw new EverbootFailure('ImageUnacceptable', `the properties of the image ${id} have ${totalLength} characters`, {
      remedy: 'Remove properties from the image that nothing uses.',
    });
  }
  return Object.fromEntries(properties);
}
