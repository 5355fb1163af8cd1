import { DOMParser, type Element, type Node, onErrorStopParsing } from '@xmldom/xmldom';
import type { Claim } from '../../domain/claim.ts';
import { metadataNamespace } from '../../domain/domain-metadata.ts';
import { EverbootFailure } from '../../domain/failures.ts';

/** The facts of a domain that everboot needs, whoever wrote its XML and however its texts are escaped. */
export interface DomainFacts {
  /** The hypervisor driver: `kvm`, `qemu`, `lxc`, … */
  readonly type: string;
  /** The claim in its metadata; undefined for a domain that everboot did not define. */
  readonly claim: Claim | undefined;
  /** Files that it reads: disks, the chains below them as far as libvirt reports them, kernels, ramdisks, firmware. */
  readonly files: readonly string[];
  /** Disks that are named by a storage pool and a volume of it. */
  readonly volumes: readonly PoolVolume[];
  /** Every absolute path that it names anywhere. */
  readonly paths: readonly string[];
}

export interface PoolVolume {
  readonly pool: string;
  readonly volume: string;
}

/** Elements whose `file` is a path of an image; `mirror` is the target of a block job in libvirt's older form. */
const imageElements: ReadonlySet<string> = new Set(['source', 'mirror']);

/** Elements whose text is the path of a file that the guest boots from. */
const bootElements: ReadonlySet<string> = new Set(['kernel', 'initrd', 'dtb', 'loader', 'nvram']);

/** Reads a domain's XML as libvirt gives it back. Throws HostIoError for a text that is no XML document. */
export function readDomainXml(xml: string): DomainFacts {
  const root = parse(xml);
  const elements = [...root.getElementsByTagName('*')];
  const images = elements.filter(({ localName }) => imageElements.has(localName ?? ''));
  const boot = elements.filter(({ localName }) => bootElements.has(localName ?? ''));
  const files = [...images.map((image) => image.getAttribute('file')), ...boot.map(({ textContent }) => textContent)];
  const leaves = elements.filter(({ children }) => children.length === 0);
  const texts = [
    ...elements.flatMap(({ attributes }) => [...attributes].map(({ value }) => value)),
    ...leaves.map(({ textContent }) => textContent ?? ''),
  ];
  return {
    type: root.getAttribute('type') ?? '',
    claim: claimIn(root),
    files: files.flatMap((file) => (file === null || file.trim() === '' ? [] : [file.trim()])),
    volumes: images.flatMap(poolVolume),
    paths: texts.filter((text) => text.startsWith('/')),
  };
}

function parse(xml: string): Element {
  try {
    const root = new DOMParser({ onError: onErrorStopParsing }).parseFromString(xml, 'text/xml').documentElement;
    if (root !== null) return root;
  } catch (error) {
    throw unreadable(error instanceof Error ? error.message : String(error));
  }
  throw unreadable('it has no element');
}

function unreadable(reason: string): EverbootFailure {
  return new EverbootFailure('HostIoError', `libvirt's XML of a domain cannot be read: ${reason}`);
}

/** Only this place in everboot's own namespace counts, so that no name of a tenant's can look like a claim. */
function claimIn(root: Element): Claim | undefined {
  const [claim] = ['metadata', 'instance', 'claim'].reduce<readonly Element[]>(
    (parents, name) => parents.flatMap((parent) => childrenNamed(parent, name)),
    [root],
  );
  const [instanceId, operationId] = [claim?.getAttribute('instance'), claim?.getAttribute('operation')];
  return instanceId && operationId ? { instanceId, operationId } : undefined;
}

function childrenNamed(parent: Element, name: string): Element[] {
  const namespace = name === 'metadata' ? null : metadataNamespace;
  return [...parent.childNodes].filter(isElement).filter((child) => {
    return child.localName === name && child.namespaceURI === namespace;
  });
}

function isElement(node: Node): node is Element {
  return node.nodeType === node.ELEMENT_NODE;
}

function poolVolume(source: Element): PoolVolume[] {
  const [pool, volume] = [source.getAttribute('pool'), source.getAttribute('volume')];
  return pool && volume ? [{ pool, volume }] : [];
}
