"""Whether the Logs Insights queries of docs/OPERATIONS.md ask for what log lines have."""
import pathlib
import re

WORDS = {"fields", "filter", "stats", "sort", "limit", "by", "as", "and", "or", "like", "asc", "desc", "in", "not"}
# what CloudWatch adds
GIVEN = {"timestamp", "logStream", "message"}


def blocks(path):
    text = pathlib.Path(path).read_text(encoding="utf-8")
    fenced = re.findall(r"^```\w*\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return [block for block in fenced if block.startswith("fields ")]


def asked(query):
    """The fields of a query, and the messages it compares with."""
    messages = re.findall(r'message = "([^"]*)"', query)
    query = re.sub(r'"[^"]*"|/[a-z|]+/', "", query)
    own = set(re.findall(r"\bas (\w+)", query))
    names = set(re.findall(r"(?<![@\w])[a-z][a-z_]*\b(?!\()", re.sub(r"@\w+|\b\d+\w*", "", query)))
    return names - WORDS - own, messages


def check(path, records, sources="src"):
    """Every field is in some record, every message in the source."""
    known = GIVEN.union(*records)
    source = "".join(file.read_text(encoding="utf-8") for file in pathlib.Path(sources).rglob("*.rs"))
    queries = blocks(path)
    for query in queries:
        names, messages = asked(query)
        assert names and names <= known, f"{path} asks for what no line has: {names - known}\n{query}"
        strange = [message for message in messages if f'"{message}"' not in source]
        assert not strange, f"{path} asks for a message that is never logged: {strange}"
    return len(queries)
