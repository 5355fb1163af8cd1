/** The folder in an instance's directory that is the root of its container, as in Nova. */
export const containerRootName = 'rootfs';
