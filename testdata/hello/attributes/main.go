// Attributes gives an arm program the .ARM.attributes section that Go's linker leaves out.
//
// The section states the architecture that the program needs, as `readelf -A` prints it. It comes from the GOARM that
// the toolchain recorded in the program itself. What the program loads stays where it is: the section, the section
// names and the section headers are written anew at the end of the file.
//
//	attributes PROGRAM
package main

import (
	"bytes"
	"debug/buildinfo"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"strings"
)

const (
	sectionName = ".ARM.attributes"
	sectionType = elf.SectionType(0x70000003) // SHT_ARM_ATTRIBUTES

	tagFile    = 1 // "Addenda to, and Errata in, the ABI for the Arm Architecture", chapter 3
	tagCPUArch = 6
)

// cpuArch is the value of Tag_CPU_arch for a GOARM.
var cpuArch = map[string]byte{"6": 6, "7": 10}

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: attributes PROGRAM")
		os.Exit(2)
	}
	if err := rewrite(os.Args[1]); err != nil {
		fmt.Fprintf(os.Stderr, "attributes: %s: %v\n", os.Args[1], err)
		os.Exit(1)
	}
}

func rewrite(path string) error {
	arch, err := recordedArch(path)
	if err != nil {
		return err
	}
	program, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	program, err = addSection(program, attributes(arch))
	if err != nil {
		return err
	}
	return os.WriteFile(path, program, 0o755)
}

func recordedArch(path string) (byte, error) {
	info, err := buildinfo.ReadFile(path)
	if err != nil {
		return 0, err
	}
	for _, setting := range info.Settings {
		if setting.Key != "GOARM" {
			continue
		}
		version, _, _ := strings.Cut(setting.Value, ",") // "7,hardfloat" is a GOARM too
		if arch, known := cpuArch[version]; known {
			return arch, nil
		}
		return 0, fmt.Errorf("GOARM=%s has no known Tag_CPU_arch", setting.Value)
	}
	return 0, errors.New("its build information has no GOARM")
}

// attributes encodes one file-wide attribute of the vendor "aeabi"; each length counts its own four bytes.
func attributes(arch byte) []byte {
	file := []byte{tagFile, 0, 0, 0, 0, tagCPUArch, arch}
	binary.LittleEndian.PutUint32(file[1:], uint32(len(file)))
	vendor := append([]byte("\x00\x00\x00\x00aeabi\x00"), file...)
	binary.LittleEndian.PutUint32(vendor, uint32(len(vendor)))
	return append([]byte{'A'}, vendor...)
}

func addSection(program, content []byte) ([]byte, error) {
	var header elf.Header32
	if err := decode(program, 0, &header); err != nil {
		return nil, err
	}
	if elf.Machine(header.Machine) != elf.EM_ARM || header.Ident[elf.EI_DATA] != byte(elf.ELFDATA2LSB) {
		return nil, errors.New("not a little-endian ELF file for arm")
	}
	sections := make([]elf.Section32, header.Shnum)
	if err := decode(program, header.Shoff, sections); err != nil {
		return nil, err
	}
	names := &sections[header.Shstrndx]
	table := bytes.Clone(program[names.Off : names.Off+names.Size])
	if bytes.Contains(table, []byte(sectionName)) {
		return nil, errors.New("it has the section already")
	}

	added := elf.Section32{
		Name: uint32(len(table)), Type: uint32(sectionType), Off: uint32(len(program)), Size: uint32(len(content)), Addralign: 1,
	}
	program = append(program, content...)
	table = append(table, sectionName+"\x00"...)
	names.Off, names.Size = uint32(len(program)), uint32(len(table))
	program = append(program, table...)
	for len(program)%4 != 0 {
		program = append(program, 0)
	}
	header.Shoff, header.Shnum = uint32(len(program)), header.Shnum+1
	program = append(program, encode(append(sections, added))...)
	copy(program, encode(header))
	return program, nil
}

func decode(program []byte, offset uint32, into any) error {
	if int(offset) > len(program) {
		return errors.New("cut short")
	}
	return binary.Read(bytes.NewReader(program[offset:]), binary.LittleEndian, into)
}

func encode(value any) []byte {
	var buffer bytes.Buffer
	_ = binary.Write(&buffer, binary.LittleEndian, value) // a buffer takes whatever is written
	return buffer.Bytes()
}
