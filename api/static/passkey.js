// The passkey button: shown where the browser can, and leads where the page's form would lead.
"use strict";

async function post(path, body) {
  const answer = await fetch(path, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
  });
  if (!answer.ok) {
    throw new Error(answer.status === 429 ? "too-many" : "refused");
  }
  return answer.json();
}

async function signIn(button) {
  const { returnTo, mfaToken } = button.dataset;
  const asked = mfaToken ? { mfa_token: mfaToken } : {};
  const options = await post("/v1/auth/passkeys/login/options", asked);
  const publicKey = PublicKeyCredential.parseRequestOptionsFromJSON(options.publicKey);
  const used = await navigator.credentials.get({ publicKey });
  const shown = { ...asked, credential: used.toJSON() };
  await post("/v1/auth/passkeys/login/verify?session=cookie", shown);
  location.assign(returnTo);
}

function sentence(error) {
  if (error.name === "NotAllowedError") {
    return "No passkey was used. Try again, or sign in another way.";
  }
  if (error.message === "too-many") {
    return "Too many attempts. Wait a minute, then try again.";
  }
  return "This passkey did not sign you in. Try another way.";
}

const place = document.getElementById("passkey");
const able =
  typeof PublicKeyCredential === "function" &&
  typeof PublicKeyCredential.parseRequestOptionsFromJSON === "function";

if (place && able) {
  const button = place.querySelector("button");
  const alert = place.querySelector("[role=alert]");
  place.hidden = false;
  button.addEventListener("click", async () => {
    button.disabled = true;
    alert.hidden = true;
    try {
      await signIn(button);
    } catch (error) {
      alert.hidden = false;
      alert.textContent = sentence(error);
      button.disabled = false;
      button.focus();
    }
  });
}
