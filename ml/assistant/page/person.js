// Who works here: a name typed freely, or the name of the token that this browser signed in with.
import { api } from "./api.js";
import { $ } from "./dom.js";
import { t } from "./i18n.js";
import { state } from "./state.js";

export function renderPerson() {
  const { name, role, by } = state.about.person;
  $("who-field").hidden = Boolean(name);
  $("person").hidden = !name;
  $("person-name").textContent = name ?? "";
  $("person-role").textContent = t(`role.${role}`);
  $("sign-out").hidden = by !== "token"; // the institution's proxy signs out its people itself
}

export const may = (role) => {
  const roles = ["cataloguer", "reviewer", "admin"];
  return roles.indexOf(state.about.person.role) >= roles.indexOf(role);
};

export async function signOut() {
  await api.signOut();
  location.assign("/");
}

// A token that has expired loses nothing: after signing in again, the step is sent once more.
export const NOT_SIGNED_IN = ["no_token", "token_expired", "token_revoked", "not_signed_in"];
export const signInAgain = () => open("/", "_blank", "noopener");
