"""The skills client of fastmcp against /mcp at the address MCP_URL, with MCP_TOKEN. It
checks each file that it fetches against the digest and the size that the server told."""

import asyncio
import json
import os
import pathlib
import unittest

from fastmcp import Client
from fastmcp.client.transports import StreamableHttpTransport
from fastmcp.skills import Skill
from fastmcp.skills.client import SkillsClientExtension
from mcp.shared.exceptions import MCPError

URI = "skill://preset-images/SKILL.md"
FOLDER = pathlib.Path(__file__).resolve().parents[2] / "functions/mcp/skill/preset-images"
INVALID_PARAMS = -32602


def client(mode):
    headers = {"Authorization": f"Bearer {os.environ['MCP_TOKEN']}"}
    return Client(StreamableHttpTransport(f"{os.environ['MCP_URL']}/mcp", headers=headers), extensions=[SkillsClientExtension()], mode=mode)


class SkillTest(unittest.IsolatedAsyncioTestCase):
    maxDiff = None

    async def asyncSetUp(self):
        asyncio.get_running_loop().set_debug(False)  # it would report each slow step

    async def test_the_skill_is_listed_and_read(self):
        async with client("auto") as c:
            listed = await c.list_skills_mcp()
            self.assertEqual([(s.uri, s.frontmatter.name) for s in listed.skills], [(URI, "preset-images")])
            self.assertEqual((listed.cache_scope, listed.ttl_ms > 0), ("public", True))
            self.assertEqual(await c.get_skill(URI), listed.skills[0])
            skill = await c.read_skill(URI)
            print(f"    read_skill {URI} -> {len(skill.files)} files, all as promised; {skill.description}")
            self.assertEqual(skill, Skill.from_directory(FOLDER))

    async def test_an_unknown_skill_is_refused(self):
        async with client("auto") as c:
            with self.assertRaises(MCPError) as refused:
                await c.get_skill("skill://preset-videos/SKILL.md")
            self.assertEqual(refused.exception.error.code, INVALID_PARAMS)

    async def test_older_clients_read_it_as_resources(self):
        async with client("legacy") as c:
            [main] = await c.list_skill_resources()
            self.assertEqual((str(main.uri), main.name), (URI, "preset-images"))
            read = {}
            for resource in await c.list_resources():
                if str(resource.uri).startswith("skill://"):
                    [content] = await c.read_resource(resource.uri)
                    read[str(resource.uri).removeprefix(URI.removesuffix("SKILL.md"))] = content.text.encode()
            print(f"    resources/read in {c.protocol_version} -> {json.dumps(sorted(read))}")
            self.assertEqual(read, dict(Skill.from_directory(FOLDER).files))


if __name__ == "__main__":
    unittest.main(verbosity=2)
