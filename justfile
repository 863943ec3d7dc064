# Run `just` for lint and the quick tests; `just --list` for the rest.
default: lint test

# Formatting, lint, spelling, import rules, types
lint:
    ruff format --check .
    ruff check .
    codespell src docs tests tools benchmarks README.md ARCHITECTURE.md CONTRIBUTING.md CHANGELOG.md
    lint-imports
    pyright

# Every test that needs no real weights
test:
    pytest -m "not weights and not slow and not clients"

# Every client against three servers behind a balancer; needs HAProxy
balanced:
    pytest -m clients --servers 3 tests/clients

# What needs sentence-transformers, several GB that CI does not fetch: pip install '.[torch]'
torch:
    pytest -rs tests/models/test_torch.py

# Everything, as CI runs it
ci:
    .ci/run

# Every test that needs a Ray cluster, two or three minutes; needs `pip install -e '.[ray]'`
ray:
    pytest tests/batches/test_ray.py tests/milvus/test_ray.py

# The tests of object stores with Azure too, and the slow ones with each store; installs Azurite, 190 MB; needs npm
azure:
    npm install --ignore-scripts --no-audit --no-fund --silent --no-save --prefix build/azurite azurite@3.37.0
    PATH="$PWD/build/azurite/node_modules/.bin:$PATH" pytest tests/storage/test_objects.py tests/documents/test_buckets.py \
        tests/cli/test_places.py
    PATH="$PWD/build/azurite/node_modules/.bin:$PATH" pytest --object-store az -k "object_store or servers_are_lost or shared_servers or recorded" \
        tests/durability tests/http/test_shared_servers.py tests/files/test_upload_store.py
    pytest --object-store gs -k "object_store or servers_are_lost or shared_servers or recorded" \
        tests/durability tests/http/test_shared_servers.py tests/files/test_upload_store.py

# Build the documentation site into site/
site:
    mkdocs build --strict

# Write the generated pages of docs/reference anew
reference:
    python tools/reference.py

# Write the estimates of docs/scale.md and their chart anew, from the results of the benchmarks
scale:
    python tools/scale.py --page

# Take the pictures of the console anew; needs a Chromium
pictures:
    python tools/pictures.py

# Play a newcomer's first hour from a clone, and look at its transcript and pictures in hour/
hour:
    python tools/first_hour.py --output hour

# Resolve requirements/tested.txt anew; needs uv
tested:
    uv pip compile pyproject.toml --extra all --extra test --extra docs --universal --python-version 3.11 --upgrade \
        --generate-hashes --no-emit-index-url --no-emit-find-links --no-annotate \
        --custom-compile-command "just tested" --output-file requirements/tested.txt

# Resolve requirements/lowest.txt anew, the oldest versions that pyproject.toml allows; needs uv
lowest:
    uv pip compile pyproject.toml --extra all --extra test --resolution lowest-direct --python-version 3.11 \
        --no-emit-index-url --no-emit-find-links --no-annotate \
        --custom-compile-command "just lowest" --output-file requirements/lowest.txt
