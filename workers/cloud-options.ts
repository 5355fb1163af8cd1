import { isTable, type Table } from './cloud-files.ts';

/** The options of one cloud, wherever they come from, and what is wrong with them. */
export interface CloudOptions {
  /** An option as a text; null where it is absent, and where it is no text, which is reported. */
  text(option: string): string | null;
  /** An option's value, whatever its type. */
  value(option: string): unknown;
  /** Reports an error, by the option's name and without its value. */
  wrong(option: string, what: string): void;
  problems(): readonly string[];
}

/** Options that clouds.yaml has beside `auth`. */
const plainOptions =
  /^(auth_type|region_name|regions|interface|verify|insecure|cacert|cert|key|\w+_override|\w+_version)$/;

/** The options of a cloud of clouds.yaml. What is beside `auth` goes before what is in it, as in openstacksdk. */
export function fileOptions(cloud: Table, path: string, name: string): CloudOptions {
  const plain = underscored(cloud);
  const auth = isTable(plain.auth) ? underscored(plain.auth) : {};
  return options(
    (option) => plain[option] ?? auth[option],
    (option) => `${path}: clouds.${name}.${plainOptions.test(option) || option in plain ? '' : 'auth.'}${option}`,
  );
}

/** The options that `OS_*` variables are. An empty one is absent. */
export function variableOptions(environment: Readonly<Record<string, string | undefined>>): CloudOptions {
  const variable = (option: string): string => `OS_${option.toUpperCase()}`;
  return options((option) => environment[variable(option)] || undefined, variable);
}

function options(read: (option: string) => unknown, placeOf: (option: string) => string): CloudOptions {
  // A set, since an option that is looked at twice is wrong once.
  const problems = new Set<string>();
  const wrong = (option: string, what: string): void => void problems.add(`${placeOf(option)}: ${what}`);
  return {
    problems: () => [...problems],
    wrong,
    value: read,
    text(option) {
      const value = read(option);
      if (value === undefined || value === null || value === '') return null;
      // Whoever forgot the quotes of a number meant its digits.
      if (typeof value === 'string' || typeof value === 'bigint' || typeof value === 'number') return String(value);
      wrong(option, 'not a text');
      return null;
    },
  };
}

/** openstacksdk takes both spellings. */
function underscored(table: Table): Table {
  return Object.fromEntries(Object.entries(table).map(([key, value]) => [key.replaceAll('-', '_'), value]));
}
