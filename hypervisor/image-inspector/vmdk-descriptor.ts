import { type ImageHead, maxHeadBytes, type Refuse } from './image-bytes.ts';

const acceptedTypes = ['monolithicsparse', 'streamoptimized'];

/** QEMU looks for a parent this far, whatever the header says of the descriptor's length. */
const leastBytes = 20 * 512;

/**
 * Judges the text that says where a VMDK's data is: in this file alone, and without a parent. A line that is not
 * understood is a reason to refuse.
 */
export function judgeVmdkDescriptor(
  { bytes }: ImageHead,
  place: { readonly offset: number; readonly bytes: number },
  refuse: Refuse,
): void {
  const region = bytes.subarray(place.offset, place.offset + Math.min(Math.max(place.bytes, leastBytes), maxHeadBytes));
  const padding = region.indexOf(0);
  const raw = padding < 0 ? region : region.subarray(0, padding);
  if (raw.some((byte) => byte > 0x7e)) {
    refuse('its descriptor is not plain text');
    return;
  }
  const extents: string[] = [];
  const fields = new Map<string, string>();
  let unknownLines = 0;
  for (const line of raw.toString('latin1').toLowerCase().split('\n')) {
    const text = line.trim();
    const equals = text.indexOf('=');
    if (text === '' || text.startsWith('#') || text.startsWith('ddb')) continue;
    if (/^(rw|rdonly|noaccess) /.test(text)) extents.push(text);
    else if (equals > 0 && !text.slice(0, equals).includes(' '))
      fields.set(text.slice(0, equals), text.slice(equals + 1));
    else unknownLines++;
  }
  judgeFields(fields, refuse);
  judgeExtents(extents, refuse);
  if (unknownLines > 0) refuse(`its descriptor has ${unknownLines} lines that are not understood`);
}

function judgeFields(fields: ReadonlyMap<string, string>, refuse: Refuse): void {
  const type = /^"([^"]{1,63})"/.exec(fields.get('createtype') ?? '')?.[1];
  if (type === undefined) refuse('its descriptor does not say of which type it is');
  else if (!acceptedTypes.includes(type)) {
    refuse(`VMDK of the type ${JSON.stringify(type)} is not accepted; expected monolithicSparse or streamOptimized`);
  }
  const parent = fields.get('parentcid') ?? 'ffffffff';
  if (parent !== 'ffffffff' || fields.has('parentfilenamehint')) refuse('it refers to a parent image');
}

function judgeExtents(extents: readonly string[], refuse: Refuse): void {
  if (extents.length !== 1) refuse(`its descriptor names ${extents.length} extents; expected one, in the same file`);
  if (extents.some((extent) => !/^(rw|rdonly) +\d+ +sparse +"[^"/\\]+"( +0)?$/.test(extent))) {
    refuse('its descriptor names an extent that is not sparse, or not in the same file');
  }
}

/** Whether these are the first bytes of a descriptor without a disk: text that names the files to read. */
export function isVmdkDescriptor({ bytes }: ImageHead): boolean {
  const padding = bytes.indexOf(0);
  const lettering = padding < 0 ? bytes : bytes.subarray(0, padding);
  const start = lettering.subarray(0, 512);
  if (start.length < 4 || start.some((byte) => byte > 0x7e || (byte < 0x20 && (byte < 9 || byte > 13)))) return false;
  const text = lettering.toString('latin1').toLowerCase();
  return text.includes('createtype=') || /^#\s*disk descriptorfile/.test(text) || isVersionFirst(text);
}

/** QEMU recognizes a descriptor by its version, when nothing but comments is before it. */
function isVersionFirst(text: string): boolean {
  const line = text
    .slice(0, 65_536)
    .split('\n')
    .find((candidate) => candidate.trim() !== '' && !candidate.startsWith('#'));
  return line !== undefined && /^\s*version=[123]\s*$/.test(line);
}
