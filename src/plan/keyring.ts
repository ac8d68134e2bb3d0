/**
 * The session keyring (session-keyring(7)): the caller's, with its keys for network file systems or encrypted directories,
 * isn't the container's. It has the name that runc gives it, so that processes of `exec` join the same one.
 */

import { cell, type Failure, type Step } from "../init/step.ts";
import { KEY, KEYCTL } from "../kernel/consts/keyctl.ts";
import { hasNamespace, type PlanInput } from "./input.ts";
import { keyringTexts } from "./texts.ts";

const KEYRING = "session keyring";
/** What a new session keyring has (security/keys/process_keys.c). */
const USUAL = KEY.KEY_POS_ALL | KEY.KEY_USR_VIEW | KEY.KEY_USR_READ | KEY.KEY_USR_LINK;

export function sessionKeyring(input: Pick<PlanInput, "id" | "noNewKeyring" | "config">): Step[] {
  const [name] = keyringTexts(input);
  if (name === undefined) return [];
  const fail: Failure = {
    code: "PROCESS_FAILED",
    message: "cannot join a session keyring of the container's own",
    hints: {
      EDQUOT:
        "the user's quota of keys is used up, see keyrings(7); --no-new-keyring keeps the caller's keyring",
      EACCES: "another user has one of this name; --no-new-keyring keeps the caller's keyring",
    },
  };
  // Whoever has another uid than init has now must find what is in it. In a user namespace that is everybody else.
  const search = hasNamespace(input.config, "user") ? KEY.KEY_OTH_SEARCH : KEY.KEY_USR_SEARCH;
  return [
    {
      block: [
        {
          call: "keyctl",
          args: [KEYCTL.KEYCTL_JOIN_SESSION_KEYRING, name],
          why: "the caller's keys are not the container's",
          save: KEYRING,
          // A kernel without keyrings, or the filter of a container that kontena itself runs in: there is nothing to be had.
          on: { ENOSYS: "leave", EPERM: "leave" },
          fail,
        },
        {
          call: "keyctl",
          args: [KEYCTL.KEYCTL_SETPERM, cell(KEYRING), USUAL | search],
          why: "processes of the container find what is in it",
          fail,
        },
      ],
    },
  ];
}
