#!/usr/bin/env bash
# Reviews a leaderboard's pull requests, for cron: verifies them without a token, then posts and merges by the reports.
# usage: PDEFM_REVIEW_TOKEN_FILE=FILE scripts/review_leaderboard.sh ORG/REPO REPORTS [options of the verification]
# The token, which may write to the leaderboard, is read from FILE in the second half alone.
set -euo pipefail
leaderboard="${1:?usage: review_leaderboard.sh ORG/REPO REPORTS [options of the verification]}"
reports="${2:?usage: review_leaderboard.sh ORG/REPO REPORTS [options of the verification]}"
shift 2
token_file="${PDEFM_REVIEW_TOKEN_FILE:?name the file that holds the token}"

without_token() {
  env -u HF_TOKEN -u HUGGING_FACE_HUB_TOKEN -u HUGGINGFACE_HUB_TOKEN -u HF_TOKEN_PATH -u PDEFM_REVIEW_TOKEN_FILE \
    HF_HOME="$scratch" "$@"
}

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# What could not be looked at this time has no report, and is no reason to leave the others waiting.
failed=0
without_token pdefm leaderboard review "$leaderboard" --out "$reports" "$@" || failed=$?

HF_TOKEN=$(cat "$token_file")
export HF_TOKEN
pdefm leaderboard review "$leaderboard" --out "$reports" --post --merge || failed=$?
exit "$failed"
