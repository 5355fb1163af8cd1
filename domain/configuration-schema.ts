import { z } from 'zod';
import { record } from './checked-values.ts';
import type { Configuration } from './configuration.ts';
import { flavorSections, sections } from './configuration-options.ts';
import { builtInFlavors, type Flavor } from './flavors.ts';
import { mistakes, problemLines } from './problems.ts';

const configurationFile = record({
  host: sections.host.prefault({}),
  libvirt: sections.libvirt.prefault({}),
  glance: sections.glance.prefault({}),
  image_cache: sections.image_cache.prefault({}),
  config_drive: sections.config_drive.prefault({}),
  secrets: sections.secrets.prefault({}),
  flavors: flavorSections.prefault({}),
  temporal: sections.temporal.prefault({}),
}).meta({ title: 'everboot configuration', description: 'everboot.toml' });

export interface ConfigurationSource {
  /** The machine's own name, for a host that is given none. */
  readonly machineName: string;
  /** Where an option's value came from; undefined: from the file. */
  readonly origin?: (section: string, option: string) => string | undefined;
}

/** Reads a configuration from what its TOML says. Throws ConfigInvalid with a line for every mistake. */
export function parseConfiguration(tables: unknown, { machineName, origin }: ConfigurationSource): Configuration {
  const document = withHostName(tables, machineName);
  const { data, error } = configurationFile.safeParse(document);
  if (error !== undefined) {
    const note = ([section, option]: readonly PropertyKey[]): string => {
      const from = origin?.(String(section), String(option));
      return from === undefined ? '' : ` (set by ${from})`;
    };
    const style = { place: optionPlace, isSecret: () => false, note };
    throw mistakes('ConfigInvalid', 'the configuration', problemLines(error, document, style));
  }
  const { host, libvirt, glance, image_cache, config_drive, secrets, temporal, flavors } = data;
  return {
    host: { ...camelKeys(host), name: host.name ?? machineName },
    libvirt: camelKeys(libvirt),
    glance: camelKeys(glance),
    imageCache: camelKeys(image_cache),
    configDrive: camelKeys(config_drive),
    secrets: camelKeys(secrets),
    temporal: camelKeys(temporal),
    flavors: flavorsByName(flavors),
  };
}

/** The JSON Schema of everboot.toml. */
export function configurationJsonSchema(): z.core.JSONSchema.BaseSchema {
  return z.toJSONSchema(configurationFile, { io: 'input' });
}

/** The machine's name is not everboot's to choose, so it is checked like one that an operator wrote. */
function withHostName(document: unknown, machineName: string): unknown {
  const isTable = (value: unknown): value is object => typeof value === 'object' && value !== null;
  if (!isTable(document)) return document;
  const host = 'host' in document ? document.host : {};
  return isTable(host) ? { ...document, host: { name: machineName, ...host } } : document;
}

function flavorsByName(configured: z.output<typeof flavorSections>): Readonly<Record<string, Flavor>> {
  const own = Object.entries(configured).map(([name, numbers]): Flavor => ({ name, ...camelKeys(numbers) }));
  return Object.fromEntries([...builtInFlavors, ...own].map((flavor) => [flavor.name, flavor]));
}

/** An option as operators name it: `[host] name`, `[flavors.m1.tiny] vcpus`, `[glance] api_servers[0]`. */
function optionPlace([section, ...rest]: readonly PropertyKey[]): string {
  if (section === undefined) return 'the configuration';
  const isFlavor = section === 'flavors' && rest.length > 0;
  const [option, ...items] = isFlavor ? rest.slice(1) : rest;
  const title = isFlavor ? `[flavors.${String(rest[0])}]` : `[${String(section)}]`;
  if (option === undefined) return title;
  return `${title} ${String(option)}${items.map((item) => `[${String(item)}]`).join('')}`;
}

type CamelCase<Text extends string> = Text extends `${infer Head}_${infer Tail}`
  ? `${Head}${Capitalize<CamelCase<Tail>>}`
  : Text;
type CamelKeys<Options> = { readonly [Key in keyof Options as CamelCase<Key & string>]: Options[Key] };

/** The options of a section under the names that they have in the code. */
function camelKeys<Options extends object>(options: Options): CamelKeys<Options> {
  const renamed = Object.entries(options).map(([key, value]) => [camelCase(key), value]);
  return Object.fromEntries(renamed) as CamelKeys<Options>;
}

function camelCase(key: string): string {
  return key.replace(/_(.)/g, (_match, letter: string) => letter.toUpperCase());
}
