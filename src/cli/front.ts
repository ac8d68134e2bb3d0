/** Of the executable's build (scripts/build.ts): whether it has a front that runs the shortcuts of `start` and `delete`. */
declare const KONTENA_FRONT: boolean | undefined;

export const hasFront = (): boolean => typeof KONTENA_FRONT !== "undefined" && KONTENA_FRONT;
