// Holds what Gatebook published against golang.org/x/mod/sumdb, which nobody here wrote: notes by
// package note, proofs and tiles by package tlog. Reads the directory that is its argument.
package main

import (
	"encoding/json"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

type inclusion struct {
	Leaf  []byte   `json:"leaf"`
	Index int64    `json:"leaf_index"`
	Size  int64    `json:"tree_size"`
	Path  [][]byte `json:"inclusion_path"`
	Note  string   `json:"checkpoint"`
}

type consistency struct {
	First  string   `json:"first"`
	Second string   `json:"second"`
	Path   [][]byte `json:"consistency_path"`
}

type published struct {
	Key         string        `json:"key"`
	Inclusion   []inclusion   `json:"inclusion"`
	Consistency []consistency `json:"consistency"`
}

func must(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

func opened(text string, known note.Verifiers) tlog.Tree {
	n, err := note.Open([]byte(text), known)
	must(err)
	lines := strings.Split(n.Text, "\n")
	var tree tlog.Tree
	_, err = fmt.Sscan(lines[1], &tree.N)
	must(err)
	tree.Hash, err = tlog.ParseHash(lines[2])
	must(err)
	return tree
}

func hashes(path [][]byte) []tlog.Hash {
	found := []tlog.Hash{}
	for _, one := range path {
		var hash tlog.Hash
		if copy(hash[:], one) != len(one) || len(one) != len(hash) {
			log.Fatal("a hash of a wrong length")
		}
		found = append(found, hash)
	}
	return found
}

// reader gives the tiles of the directory, under their names in C2SP tlog-tiles.
type reader string

func (r reader) Height() int                          { return 8 }
func (r reader) SaveTiles(_ []tlog.Tile, _ [][]byte) {}
func (r reader) ReadTiles(tiles []tlog.Tile) ([][]byte, error) {
	found := [][]byte{}
	for _, tile := range tiles {
		path := strings.Replace(tile.Path(), "tile/8/", "tile/", 1)
		content, err := os.ReadFile(filepath.Join(string(r), path))
		if err != nil {
			return nil, err
		}
		found = append(found, content)
	}
	return found, nil
}

func main() {
	content, err := os.ReadFile(filepath.Join(os.Args[1], "published.json"))
	must(err)
	var given published
	must(json.Unmarshal(content, &given))
	verifier, err := note.NewVerifier(given.Key)
	must(err)
	known := note.VerifierList(verifier)

	for _, one := range given.Inclusion {
		tree := opened(one.Note, known)
		if tree.N != one.Size {
			log.Fatal("the checkpoint has another size than the proof")
		}
		leaf := tlog.RecordHash(one.Leaf)
		must(tlog.CheckRecord(hashes(one.Path), tree.N, tree.Hash, one.Index, leaf))
		through, err := tlog.TileHashReader(tree, reader(os.Args[1])).ReadHashes(
			[]int64{tlog.StoredHashIndex(0, one.Index)})
		must(err)
		if through[0] != leaf {
			log.Fatal("the tile has another hash than the leaf")
		}
	}
	for _, one := range given.Consistency {
		first, second := opened(one.First, known), opened(one.Second, known)
		must(tlog.CheckTree(hashes(one.Path), second.N, second.Hash, first.N, first.Hash))
	}
	fmt.Printf("%d inclusion, %d consistency\n", len(given.Inclusion), len(given.Consistency))
}
