import type { ImageReference } from '../../domain/image.ts';
import type { ResolvedRequest } from './resolve-request.ts';

/** The image's name for people: Glance’s id, or the file’s own name. Never an address’s query, which may hold a key. */
export function imageName(reference: ImageReference): string {
  const address = 'glance' in reference ? reference.glance : 'url' in reference ? reference.url : reference.file;
  const path = address.replace(/[?#].*$/s, '');
  return path.slice(path.lastIndexOf('/') + 1) || path;
}

/** One line for the list of workflows in the Temporal UI. */
export function createSummary({ spec, flavor }: ResolvedRequest, host: string): string {
  const image = spec.image === undefined ? 'without an image' : `from ${plain(imageName(spec.image))}`;
  return `create ${spec.name} on ${plain(host)} ${image}, ${plain(flavor.name)}`;
}

/** The request in Markdown, for the head of the workflow’s page. Secrets are listed by name only. */
export function createDetails({ spec, flavor, secrets, specDigest }: ResolvedRequest): string {
  const rows: [string, string][] = [
    ['id', spec.id],
    ['image', spec.image === undefined ? 'none' : imageName(spec.image)],
    [
      'flavor',
      `${flavor.name}: ${flavor.vcpus} vCPU, ${flavor.memoryMb} MiB, root ${flavor.rootGb} GiB, ` +
        `ephemeral ${flavor.ephemeralGb} GiB, swap ${flavor.swapMb} MiB`,
    ],
    ['config drive', spec.configDrive ? 'yes' : 'no'],
    ['boot', spec.boot],
    ['secrets', Object.keys(secrets).join(', ') || 'none'],
    ['spec digest', specDigest.slice(0, 16)],
  ];
  return rows.map(([name, value]) => `- **${name}**: ${plain(value)}`).join('\n');
}

/** Names come from tenants: nothing of them may become a link, a picture or a line of its own. */
function plain(text: string): string {
  return text
    .slice(0, 200)
    .replace(/[\\|`*_<>[\]!\n\r]/g, (character) => (/\s/.test(character) ? ' ' : `\\${character}`));
}
