/** The test files of `./everboot test quick`, besides the checks: folders and files of test/. */
export const quick: readonly string[] = ['domain/'];
