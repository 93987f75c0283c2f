// Reads Dockerfiles as BuildKit does: a line of JSON in (see request), a line of JSON out (see answer). For tests that
// compare another reader with it.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"

	"github.com/moby/buildkit/client/llb"
	"github.com/moby/buildkit/client/llb/sourceresolver"
	"github.com/moby/buildkit/frontend/dockerfile/dockerfile2llb"
	"github.com/moby/buildkit/frontend/dockerui"
	"github.com/moby/buildkit/solver/pb"
	"github.com/opencontainers/go-digest"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"
)

type request struct {
	Dockerfile []byte          // base64 in JSON
	Base       json.RawMessage // the configuration of every image that is named, as an image has it
}

type answer struct {
	Error  string   `json:",omitempty"`
	Chain  []action `json:",omitempty"`
	Config any      `json:",omitempty"`
}

// What a stage does, from the image that it starts from.
type action struct {
	Image string    `json:",omitempty"`
	Exec  *pb.Meta  `json:",omitempty"`
	Mkdir string    `json:",omitempty"`
	Copy  *fileCopy `json:",omitempty"`
	Other string    `json:",omitempty"`
}

type fileCopy struct {
	From     []action `json:",omitempty"` // the build context where absent
	Src      string
	Dest     string
	Unpack   bool
	Mode     int32
	Owner    string `json:",omitempty"`
	Pattern  bool
	Excluded []string `json:",omitempty"`
}

type resolver struct{ config []byte }

func (r resolver) ResolveImageConfig(_ context.Context, ref string, _ sourceresolver.Opt) (string, digest.Digest, []byte, error) {
	return ref, digest.FromString(ref), r.config, nil
}

func main() {
	in := bufio.NewReaderSize(os.Stdin, 1<<20)
	out := json.NewEncoder(os.Stdout)
	decoder := json.NewDecoder(in)
	for decoder.More() {
		var asked request
		if err := decoder.Decode(&asked); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		if err := out.Encode(read(asked)); err != nil {
			os.Exit(1)
		}
	}
}

func read(asked request) (result answer) {
	defer func() {
		if fault := recover(); fault != nil {
			result = answer{Error: fmt.Sprint("panic: ", fault)}
		}
	}()
	ctx := context.Background()
	platform := ocispecs.Platform{OS: "linux", Architecture: "amd64"}
	state, image, _, _, err := dockerfile2llb.Dockerfile2LLB(ctx, asked.Dockerfile, dockerfile2llb.ConvertOpt{
		Config: dockerui.Config{
			BuildPlatforms:  []ocispecs.Platform{platform},
			TargetPlatforms: []ocispecs.Platform{platform},
		},
		TargetPlatform: &platform,
		MetaResolver:   resolver{asked.Base},
	})
	if err != nil {
		return answer{Error: err.Error()}
	}
	definition, err := state.Marshal(ctx, llb.LinuxAmd64)
	if err != nil {
		return answer{Error: err.Error()}
	}
	ops := map[string]*pb.Op{}
	var last *pb.Op
	for _, bytes := range definition.Def {
		var op pb.Op
		if err := op.UnmarshalVT(bytes); err != nil {
			return answer{Error: err.Error()}
		}
		ops[digest.FromBytes(bytes).String()] = &op
		last = &op
	}
	var chain []action
	if last != nil && len(last.Inputs) > 0 {
		chain = chainOf(ops, last.Inputs[0].Digest)
	}
	return answer{Chain: chain, Config: image.Config}
}

func chainOf(ops map[string]*pb.Op, name string) []action {
	op := ops[name]
	if op == nil {
		return nil
	}
	before := func(index int64) []action {
		if index < 0 || int(index) >= len(op.Inputs) {
			return nil
		}
		return chainOf(ops, op.Inputs[index].Digest)
	}
	switch kind := op.Op.(type) {
	case *pb.Op_Source:
		return []action{{Image: kind.Source.Identifier}}
	case *pb.Op_Exec:
		return append(before(kind.Exec.Mounts[0].Input), action{Exec: kind.Exec.Meta})
	case *pb.Op_File:
		return fileActions(op, kind.File, before)
	}
	return []action{{Other: fmt.Sprintf("%T", op.Op)}}
}

// The actions of one operation follow one another: each has the one before it, or an input, as its input.
func fileActions(op *pb.Op, file *pb.FileOp, before func(int64) []action) []action {
	chain := before(file.Actions[0].Input)
	for _, one := range file.Actions {
		switch kind := one.Action.(type) {
		case *pb.FileAction_Mkdir:
			chain = append(chain, action{Mkdir: kind.Mkdir.Path})
		case *pb.FileAction_Copy:
			from := before(one.SecondaryInput)
			if len(from) == 1 && from[0].Image == "local://context" {
				from = nil
			}
			written := kind.Copy
			chain = append(chain, action{Copy: &fileCopy{
				From: from, Src: written.Src, Dest: written.Dest, Unpack: written.AttemptUnpackDockerCompatibility,
				Mode: written.Mode, Owner: ownerOf(written.Owner), Pattern: written.AllowWildcard,
				Excluded: written.ExcludePatterns,
			}})
		default:
			chain = append(chain, action{Other: fmt.Sprintf("%T", one.Action)})
		}
	}
	return chain
}

func ownerOf(owner *pb.ChownOpt) string {
	if owner == nil {
		return ""
	}
	return nameOf(owner.User) + ":" + nameOf(owner.Group)
}

func nameOf(user *pb.UserOpt) string {
	switch kind := user.GetUser().(type) {
	case *pb.UserOpt_ByName:
		return kind.ByName.Name
	case *pb.UserOpt_ByID:
		return fmt.Sprint(kind.ByID)
	}
	return ""
}
