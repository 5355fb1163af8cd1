import { EverbootFailure } from './failures.ts';

/** An element of an XML document; a child that is a text is the element's whole content. */
export interface XmlElement {
  readonly name: string;
  readonly attributes: Readonly<Record<string, string | number | undefined>>;
  readonly children: readonly XmlElement[] | string;
}

/**
 * Describes an element. An attribute that is undefined is left out, and so is a child: this lets a document be written
 * down in one piece with its optional parts in their places.
 */
export function element(
  name: string,
  attributes: XmlElement['attributes'] = {},
  children: readonly (XmlElement | undefined)[] | string = [],
): XmlElement {
  return {
    name,
    attributes,
    children: typeof children === 'string' ? children : children.filter((child) => child !== undefined),
  };
}

/**
 * Writes an element with everything in it, indented. Whoever wrote the texts, they stay texts. Throws SpecInvalid for
 * one with a control character or half a character: XML has no way to write them, not even escaped.
 */
export function renderXml({ name, attributes, children }: XmlElement, indent = ''): string {
  const head = [name];
  for (const [key, value] of Object.entries(attributes)) {
    if (value !== undefined) head.push(`${key}='${escapeText(String(value), `${name} ${key}`)}'`);
  }
  const start = `${indent}<${head.join(' ')}`;
  if (typeof children === 'string') return `${start}>${escapeText(children, name)}</${name}>\n`;
  if (children.length === 0) return `${start}/>\n`;
  const inner = children.map((child) => renderXml(child, `${indent}  `)).join('');
  return `${start}>\n${inner}${indent}</${name}>\n`;
}

const entities: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  "'": '&apos;',
  '"': '&quot;',
};

/** Tabs and line ends are legal in XML, but a parser may turn them into spaces, so they are refused with the rest. */
const unwritable = /[\p{Cc}\p{Cs}\uFFFE\uFFFF]/u;

function escapeText(text: string, place: string): string {
  if (unwritable.test(text)) {
    throw new EverbootFailure('SpecInvalid', `the text for ${place} has a control character: ${JSON.stringify(text)}`);
  }
  return text.replace(/[&<>'"]/g, (character) => entities[character] ?? character);
}
