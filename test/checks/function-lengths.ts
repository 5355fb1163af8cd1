import { isAbsolute, join, relative } from 'node:path';
import type { FunctionLikeDeclaration, Node, SourceFile } from 'typescript/unstable/ast';
import { isCallExpression, isFunctionLikeDeclaration, isIdentifier, isStringLiteral } from 'typescript/unstable/ast/is';
import { API } from 'typescript/unstable/sync';

/** A function is read as a whole, so it has to fit on a page: under 70 lines. */
const maxLines = 69;

/** Functions that are longer, each with the reason. One that is no longer needed is refused, too. */
const exceptions: Readonly<Record<string, string>> = {
  'test/fixtures/test-host.ts startTestHost': 'what it starts is stopped in the opposite order, in the same place',
};

/**
 * No function of the checkout has `maxLines` or more, from the line of its name or parameters to that of its last
 * brace, comments and blank lines counted. A group of tests (`describe`) is a list and no function: its lines are not
 * counted.
 */
export async function functionLengths(root: string): Promise<readonly string[]> {
  const found = longFunctions(root);
  const needed = new Set(found.map(({ key }) => key));
  const inVain = Object.keys(exceptions).filter((key) => !needed.has(key));
  return [
    ...found.filter(({ key }) => !Object.hasOwn(exceptions, key)).map(({ place, words }) => `${place}: ${words}`),
    ...inVain.map((key) => `test/checks/function-lengths.ts:1: ${key} is named as an exception and is short enough`),
  ];
}

interface LongFunction {
  /** Path and name. */
  readonly key: string;
  readonly place: string;
  readonly words: string;
}

function longFunctions(root: string): LongFunction[] {
  const api = new API({ cwd: root });
  try {
    const project = api.updateSnapshot({ openProject: join(root, 'tsconfig.json') }).getProjects()[0];
    if (project === undefined) throw new Error(`${root}/tsconfig.json is no project`);
    const names = project.program.getSourceFileNames().map((name) => [name, relative(root, name)] as const);
    return names
      .filter(([, path]) => isOwn(path))
      .flatMap(([name, path]) => longIn(path, project.program.getSourceFile(name)));
  } finally {
    api.close();
  }
}

function isOwn(path: string): boolean {
  return !isAbsolute(path) && !path.startsWith('..') && !path.startsWith('node_modules/');
}

function longIn(path: string, file: SourceFile | undefined): LongFunction[] {
  if (file === undefined) return [];
  const lineOf = (position: number): number => file.getLineAndCharacterOfPosition(position).line + 1;
  const linesOf = (node: Node): number => lineOf(node.end) - lineOf(node.getStart(file)) + 1;
  const long: LongFunction[] = [];
  /** Returns how many of the node's lines belong to groups of tests. */
  function visit(node: Node): number {
    let grouped = 0;
    node.forEachChild((child) => {
      grouped += visit(child);
    });
    if (!isFunctionLikeDeclaration(node)) return grouped;
    if (isGroup(node)) return linesOf(node);
    const lines = linesOf(node) - grouped;
    if (lines > maxLines) {
      const name = nameOf(node);
      const words = `${name} has ${lines} lines; a function has at most ${maxLines}`;
      long.push({ key: `${path} ${name}`, place: `${path}:${lineOf(node.getStart(file))}`, words });
    }
    return grouped;
  }
  visit(file);
  return long;
}

function isGroup(node: FunctionLikeDeclaration): boolean {
  const { parent } = node;
  return isCallExpression(parent) && isIdentifier(parent.expression) && parent.expression.text === 'describe';
}

/** By which a reader finds it: its own name, or that of what it is given to. */
function nameOf(node: FunctionLikeDeclaration): string {
  const { parent } = node;
  const named = [node, parent].find(
    (one): one is Node & { name: Node & { text: string } } => 'name' in one && one.name !== undefined,
  );
  if (named !== undefined) return named.name.text;
  const title = isCallExpression(parent) ? parent.arguments.find((argument) => isStringLiteral(argument)) : undefined;
  return title === undefined ? 'a function without a name' : `"${title.text}"`;
}
